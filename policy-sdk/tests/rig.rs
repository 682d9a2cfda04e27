//! The rig must catch what it is there for: policies that depend on the split, and answers that break the contract.

use policy_sdk::{
    Decision, Exchange, Hooks, Metadata, NoSettings, Plan, Policy, Problem, Verdict, Window, pattern,
    rig::{End, Rig},
};

/// A policy made of one answer, chosen by a number.
struct Tried<const CASE: u32>;

const NAIVE: u32 = 0;
const BY_HAND: u32 = 1;
const ON_HIT: u32 = 2;
const HOLDS_AT_THE_END: u32 = 3;
const OVERLAPS: u32 = 4;
const CUTS_A_CHARACTER: u32 = 5;
const IS_DONE: u32 = 6;
const REFUSES_TO_OPEN: u32 = 7;
const NOT_IMPLEMENTED: u32 = 8;
const BAD_PATTERN: u32 = 9;
const NEVER_CALLED: u32 = 10;

/// Replaces each `ab` by `X`.
fn replaced(window: &Window) -> Decision {
    let places = window.pending.match_indices("ab");
    places.fold(Decision::allow(), |decision, (at, _)| {
        let at = u32::try_from(at).expect("short");
        decision.replace(at, at + 2, "X", "ab")
    })
}

impl<const CASE: u32> Policy for Tried<CASE> {
    type Settings = NoSettings;

    fn describe() -> Metadata {
        Metadata::new("tried", "1.0.0", "")
    }

    fn configure(_: NoSettings) -> Result<(Self, Plan), Vec<Problem>> {
        let plan = match CASE {
            ON_HIT => Plan::new(Hooks::TEXT).patterns([pattern::regex("ab", "ab", 2)]).only_on_hit(),
            BAD_PATTERN => Plan::new(Hooks::TEXT).patterns([pattern::regex("bad", "a(", 2)]),
            NEVER_CALLED => Plan::new(Hooks::TOOLS).only_on_hit(),
            NOT_IMPLEMENTED => Plan::new(Hooks::TEXT | Hooks::TOOLS),
            _ => Plan::new(Hooks::TEXT),
        };
        Ok((Self, plan))
    }

    fn open(&mut self, _: &Exchange) -> Result<Verdict, String> {
        if CASE == REFUSES_TO_OPEN { Err("no".to_owned()) } else { Ok(Verdict::Allow) }
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        let end = u32::try_from(window.pending.len()).expect("short");
        Ok(match CASE {
            BY_HAND if !window.last && window.pending.ends_with('a') => replaced(window).hold_back(1),
            ON_HIT => window.hits.iter().fold(Decision::allow(), |decision, hit| {
                assert_eq!(window.slice(hit.start, hit.end), "ab");
                decision.replace(hit.start, hit.end, "X", "ab")
            }),
            HOLDS_AT_THE_END => Decision::allow().hold_back(end),
            OVERLAPS => Decision::allow().replace(0, 2, "", "").replace(1, 2, "", ""),
            CUTS_A_CHARACTER => Decision::allow().replace(0, 1, "", ""),
            IS_DONE => Decision { verdict: Verdict::Done, ..replaced(window) },
            _ => replaced(window),
        })
    }
}

fn rig<const CASE: u32>() -> Rig<Tried<CASE>> {
    Rig::new("").expect("nothing to set")
}

fn failure<const CASE: u32>(text: &str) -> String {
    match rig::<CASE>().run(&[text]).end {
        End::Failed(message) => message,
        other => format!("{other:?}"),
    }
}

#[test]
#[should_panic(expected = "character by character")]
fn a_policy_that_holds_nothing_back_is_caught() {
    rig::<NAIVE>().every_split("-ab-", "-X-");
}

#[test]
fn a_policy_that_holds_back_is_not() {
    rig::<BY_HAND>().every_split("-ab-aab-a", "-X-aX-a");
}

#[test]
fn a_policy_that_declares_is_called_on_hits_only() {
    rig::<ON_HIT>().every_split("-ab-é-aab-a", "-X-é-aX-a");
    assert_eq!(rig::<ON_HIT>().run(&["no such thing"]).calls, 0);
    assert_eq!(rig::<ON_HIT>().run(&["a", "b", "ab", "-"]).calls, 2, "each when what follows it is there");
}

#[test]
#[should_panic(expected = "went through")]
fn what_goes_through_before_the_end_is_watched() {
    rig::<NAIVE>().every_split_ends("text", "te", |_| true);
}

#[test]
fn answers_that_break_the_contract_fail() {
    assert!(failure::<HOLDS_AT_THE_END>("ab").contains("nothing follows"));
    assert!(failure::<OVERLAPS>("abc").contains("overlaps"));
    assert!(failure::<CUTS_A_CHARACTER>("é").contains("cuts a character"));
    assert!(failure::<OVERLAPS>("a").contains("out of bounds"));
    assert_eq!(failure::<REFUSES_TO_OPEN>("ab"), "no");
}

#[test]
fn a_policy_that_is_done_is_not_called_again() {
    let outcome = rig::<IS_DONE>().run(&["ab", "ab"]);
    assert_eq!((outcome.text.as_str(), outcome.calls), ("Xab", 1));
}

#[test]
fn a_hook_that_is_asked_for_and_missing_is_a_failure() {
    let call = policy_sdk::ToolCall { id: String::new(), name: String::new(), input: String::new() };
    let answer = rig::<NOT_IMPLEMENTED>().instance().on_tool_call(&call);
    assert!(answer.expect_err("not implemented").contains("`tools`"));
}

#[test]
fn a_pattern_that_is_none_is_a_problem() {
    let problems = Rig::<Tried<BAD_PATTERN>>::new("").err().expect("must be refused");
    assert!(problems[0].message.contains("pattern bad"));
}

#[test]
fn a_plan_that_waits_for_hits_of_no_pattern_is_refused_as_the_host_refuses_it() {
    let problems = Rig::<Tried<NEVER_CALLED>>::new("").err().expect("must be refused");
    assert!(problems[0].message.contains("declares no pattern"));
}
