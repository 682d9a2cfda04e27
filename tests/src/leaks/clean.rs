//! Traffic with nothing to hide, through the same host: not one byte of it may change, in either direction. Where the
//! host undoes a content encoding, the bytes inside of it are what must not.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::task::JoinSet;

use super::{
    make::make_clean,
    matrix::Id,
    run::{AT_ONCE, Campaign},
};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Clean {
    /// Exchanges.
    pub streams: u64,
    /// Bytes of their bodies, in both directions, as they are inside of content encodings.
    pub bytes: u64,
    /// Exchanges of which anything changed: the first of them, and how.
    pub changed: Vec<(Id, String)>,
}

impl Campaign {
    /// Runs exchanges until so many bytes have been carried.
    pub async fn clean(self: &Arc<Self>, bytes: u64) -> Clean {
        let (next, carried) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut lanes = JoinSet::new();
        for lane in 0..AT_ONCE {
            let (campaign, next, carried) = (Arc::clone(self), Arc::clone(&next), Arc::clone(&carried));
            lanes.spawn(async move {
                let (mut clean, mut caller) = (Clean::default(), campaign.caller(lane));
                while carried.load(Ordering::Relaxed) < bytes {
                    let id = Id::Dealt(next.fetch_add(1, Ordering::Relaxed));
                    let Some(case) = campaign.matrix.clean(id, &campaign.places) else { continue };
                    let made = Arc::new(make_clean(&case, &campaign.places));
                    let size = (made.body.len() + made.request_body.len()) as u64;
                    clean.streams += 1;
                    clean.bytes += size;
                    carried.fetch_add(size, Ordering::Relaxed);
                    let Some((answer, received)) = campaign.carry(&made, &mut caller, lane).await else {
                        clean.changed.push((id, "no answer in time".to_owned()));
                        continue;
                    };
                    let name = &campaign.places.forms[case.form].name;
                    let got = [
                        ("request", &made.request_body, received.as_ref()),
                        ("answer", &made.body, Some(&answer.body)),
                    ];
                    for (what, sent, got) in got {
                        if let Some(how) = difference(sent, got.map_or(&[][..], Vec::as_slice)) {
                            clean.changed.push((id, format!("{name}: {} {what}: {how}", answer.status)));
                        }
                    }
                    if !answer.complete {
                        clean.changed.push((id, format!("{name}: the answer is cut")));
                    }
                }
                clean
            });
        }
        let mut all = Clean::default();
        while let Some(lane) = lanes.join_next().await {
            let lane = lane.expect("a lane does not panic");
            all.streams += lane.streams;
            all.bytes += lane.bytes;
            all.changed.extend(lane.changed);
        }
        all
    }
}

/// Where two bodies part, with a little of both.
fn difference(sent: &[u8], got: &[u8]) -> Option<String> {
    if sent == got {
        return None;
    }
    let at = sent.iter().zip(got).position(|(one, other)| one != other).unwrap_or(sent.len().min(got.len()));
    let from = at.saturating_sub(20);
    let some = |bytes: &[u8]| String::from_utf8_lossy(&bytes[from..bytes.len().min(at + 40)]).into_owned();
    Some(format!("{} bytes became {}, from byte {at}: {:?} became {:?}", sent.len(), got.len(), some(sent), some(got)))
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn one_byte_is_a_difference() {
        assert_eq!(difference(b"abc", b"abc"), None);
        assert!(difference(b"abc", b"abd").is_some_and(|how| how.contains("from byte 2")));
        assert!(difference(b"abc", b"ab").is_some() && difference(b"", b"a").is_some());
    }
}
