//! Whether the segments follow each other: none is left out, and each begins where the one before it ends. Pure.
//!
//! What must hold: a segment before the newest that is missing, or an older copy in its place, is told, also when all that is left agrees with
//! itself, as an index does that was made again from what is there.

use std::path::PathBuf;

use crate::Damage;

/// A segment that is there.
pub(crate) struct Link {
    pub(crate) number: u32,
    pub(crate) file: PathBuf,
    /// From where to where it goes; none: nobody looked.
    pub(crate) span: Option<Span>,
}

/// Positions of the journal.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// None: its file is older than that this is kept.
    pub(crate) begin: Option<u64>,
    pub(crate) end: u64,
}

/// What is missing between segments in their order. `path`: where the one of a number has its place.
pub(crate) fn gaps(links: &[Link], path: impl Fn(u32) -> PathBuf) -> Vec<Damage> {
    let mut gaps = Vec::new();
    let (mut next, mut end) = (1, Some(0));
    for (at, link) in links.iter().enumerate() {
        let begin = link.span.and_then(|span| span.begin);
        let position = end.or(begin).unwrap_or(0);
        let bytes = end.zip(begin).map_or(0, |(end, begin)| begin.saturating_sub(end));
        if link.number > next {
            let through = link.number - 1;
            let others = if through > next { format!(", as are all to number {through}") } else { String::new() };
            gaps.push(Damage { file: path(next), position, bytes, what: format!("it is missing, or empty{others}") });
        } else if end.zip(begin).is_some_and(|(end, begin)| end != begin) {
            let before = at.checked_sub(1).map_or(link, |before| &links[before]);
            let what =
                "the next one does not begin where it ends, as where an older copy has the place of one".to_owned();
            gaps.push(Damage { file: before.file.clone(), position, bytes, what });
        }
        next = link.number.saturating_add(1);
        end = link.span.map(|span| span.end);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(number: u32) -> PathBuf {
        number.to_string().into()
    }

    /// The gaps between segments of these numbers: file, position and bytes of each.
    fn told(segments: &[(u32, Option<u64>, u64)]) -> Vec<(PathBuf, u64, u64)> {
        let links: Vec<_> = segments
            .iter()
            .map(|(number, begin, end)| Link {
                number: *number,
                file: path(*number),
                span: Some(Span { begin: *begin, end: *end }),
            })
            .collect();
        gaps(&links, path).into_iter().map(|gap| (gap.file, gap.position, gap.bytes)).collect()
    }

    #[test]
    fn segments_follow_each_other() {
        assert_eq!(told(&[]), []);
        assert_eq!(told(&[(1, Some(0), 10), (2, Some(10), 25), (3, Some(25), 25)]), []);
        assert_eq!(told(&[(1, None, 10), (2, None, 25), (3, Some(25), 30)]), [], "older files say less");
    }

    #[test]
    fn what_is_left_out_or_older_is_told() {
        assert_eq!(told(&[(2, Some(10), 25), (3, Some(25), 30)]), [(path(1), 0, 10)]);
        assert_eq!(told(&[(1, Some(0), 10), (3, Some(25), 30)]), [(path(2), 10, 15)]);
        assert_eq!(told(&[(1, None, 10), (4, None, 30)]), [(path(2), 10, 0)]);
        assert_eq!(told(&[(1, Some(0), 10), (2, Some(10), 15), (3, Some(25), 30)]), [(path(2), 15, 10)]);
        assert_eq!(told(&[(1, Some(0), 10), (2, Some(7), 15)]), [(path(1), 10, 0)]);
    }

    #[test]
    fn names_alone_tell_what_is_left_out() {
        let link = |number| Link { number, file: path(number), span: None };
        assert!(gaps(&[link(1), link(2)], path).is_empty());
        let gaps = gaps(&[link(1), link(4)], path);
        assert_eq!((gaps[0].file.clone(), gaps.len()), (path(2), 1));
        assert!(gaps[0].what.contains("all to number 3"), "{}", gaps[0].what);
    }
}
