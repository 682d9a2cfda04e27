//! What guests are shown: the host's own types in the contract's, borrowed wherever that is possible.

use exchange::ports::{About, Conversation, ConversationPart, Head, Summary, Window};
use model::{Attribute, Direction};

use super::{
    bindings::{
        exports::portcullis::policy::{audit, bytes, conversation, text},
        portcullis::policy::types,
    },
    blueprint::Facts,
    offsets::{Ruler, tail},
};

pub(super) fn direction(direction: Direction) -> types::Direction {
    match direction {
        Direction::Request => types::Direction::Request,
        Direction::Response => types::Direction::Response,
    }
}

pub(super) fn exchange<'a>(
    about: &'a About,
    id: &'a str,
    session: &'a str,
    groups: &'a [&'a str],
    extra: &'a [types::AttributeParam<'a>],
    resumed: bool,
) -> types::Exchange<'a> {
    types::Exchange {
        id,
        session,
        caller: types::Identity {
            subject: &about.caller.subject,
            issuer: &about.caller.issuer,
            groups,
            claims: &about.caller.claims,
        },
        connection: &about.connection,
        dialect: about.dialect,
        model: &about.model,
        streaming: about.streaming,
        resumed,
        extra,
    }
}

/// What the contract has no field for: the attribute `model` for each further model that the request names.
pub(super) fn extra(about: &About) -> Vec<types::AttributeParam<'_>> {
    about.further_models.iter().map(|model| types::AttributeParam { name: "model", value: model }).collect()
}

/// Hits in the guest's unit.
pub(super) fn hits<'a>(window: &Window<'_>, facts: &'a Facts) -> Vec<types::HitParam<'a>> {
    let mut ruler = Ruler::new(window.pending, facts.unit);
    let hit = |hit: &model::Hit| types::HitParam {
        pattern: facts.pattern(hit),
        start: narrow(ruler.units(hit.start)),
        end: narrow(ruler.units(hit.end)),
    };
    window.hits.iter().map(hit).collect()
}

/// A window in the guest's unit.
pub(super) fn window<'a>(window: &Window<'a>, hits: &'a [types::HitParam<'a>], facts: &Facts) -> text::Window<'a> {
    let shown = tail(window.before, facts.look_behind, facts.unit);
    text::Window {
        direction: direction(window.direction),
        channel: window.channel.as_str(),
        speaker: window.speaker.as_str(),
        part: window.part.0,
        before: &window.before[window.before.len() - shown..],
        pending: window.pending,
        fresh: narrow(Ruler::new(window.pending, facts.unit).units(window.fresh)),
        last: window.last,
        hits,
        extra: &[],
    }
}

pub(super) fn parts(request: &Conversation) -> Vec<conversation::Part<'_>> {
    fn part(part: &ConversationPart) -> conversation::Part<'_> {
        conversation::Part {
            id: part.part.0,
            speaker: part.speaker.as_str(),
            channel: part.channel.as_str(),
            text: &part.text,
        }
    }
    request.parts.iter().map(part).collect()
}

pub(super) fn tools(request: &Conversation) -> Vec<conversation::Tool<'_>> {
    let tools = request.tools.iter();
    tools
        .map(|tool| conversation::Tool {
            name: &tool.name,
            description: &tool.description,
            parameters: &tool.parameters,
        })
        .collect()
}

pub(super) fn headers(head: &Head) -> Vec<bytes::HeaderParam<'_>> {
    fn header(header: &Attribute) -> bytes::HeaderParam<'_> {
        bytes::HeaderParam { name: &header.name, value: &header.value }
    }
    head.headers.iter().map(header).collect()
}

pub(super) fn head<'a>(head: &'a Head, headers: &'a [bytes::HeaderParam<'a>]) -> bytes::Head<'a> {
    bytes::Head {
        direction: direction(head.direction),
        method: &head.method,
        path: &head.path,
        status: head.status,
        headers,
    }
}

pub(super) fn summary(summary: &Summary) -> audit::Summary<'_> {
    audit::Summary {
        outcome: summary.outcome.as_str(),
        input_tokens: summary.usage.input_tokens,
        output_tokens: summary.usage.output_tokens,
        duration_ms: u32::try_from(summary.duration.as_millis()).unwrap_or(u32::MAX),
        extra: &[],
    }
}

/// Text that a guest is shown is far smaller than 4 GiB: the guest's memory is.
pub(super) fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
