//! The book against an audit of its own: whatever is asked, decided, claimed, dropped and waited for, in whatever
//! order, an approval is used once, in time, and only when somebody gave it.

use std::{collections::BTreeMap, sync::Arc};

use exchange::{
    Now,
    ports::{About, Ask, Ruling, RulingState, Rulings},
};
use model::{ApprovalId, AskedHead, Attribute, Caller, Decider, Digest, Direction, ExchangeId, Question, SessionId};
use proptest::{collection::vec, prelude::*};

use crate::{Asked, Book, Claim, Decision, State, Terms, Wrong};

/// The session of every question here.
const SESSION: &str = "00000000000070008000000000000001";
/// How long questions of these tests stay open.
const TIMEOUT_MS: u64 = 10_000;

pub(crate) fn terms() -> Terms {
    Terms { default_timeout_ms: TIMEOUT_MS, pending: 4, ..Terms::default() }
}

/// A head of no bytes.
fn nowhere() -> AskedHead {
    let (method, target) = Default::default();
    AskedHead { direction: Direction::Request, method, target, headers: Vec::new() }
}

pub(crate) fn ask(text: &str, remember_key: &str) -> Ask {
    let caller = Caller { subject: "ann".to_owned(), ..Caller::default() };
    let about = About::begun(ExchangeId::new(), SESSION.parse().unwrap(), caller, "openai", "openai-chat");
    Ask {
        about: Arc::new(about),
        policy: ("approve".to_owned(), Digest([1; 32])),
        question: Question {
            title: "May this go on?".to_owned(),
            summary: String::new(),
            approvers: Vec::new(),
            timeout_seconds: 0,
            remember_key: remember_key.to_owned(),
        },
        shown: text.as_bytes().into(),
        head: nowhere().into(),
        bound_to: Digest([2; 32]),
    }
}

/// A time at which both clocks agree.
pub(crate) fn at(ms: u64) -> Now {
    Now { steady_ms: ms, wall_ms: ms }
}

/// How the one question ended that was asked.
pub(crate) fn the_one(rulings: Rulings) -> Ruling {
    match rulings {
        Rulings::Approved(mut rulings) => rulings.remove(0),
        Rulings::Stopped(_, ruling) => ruling,
    }
}

fn is(claim: Claim, state: RulingState) -> bool {
    matches!(claim, Claim::Ruled(rulings) if the_one(rulings.clone()).state == state)
}

pub(crate) fn operator() -> Decider {
    Decider::operator("admin")
}

/// One step; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Ask(u8),
    Decide { which: usize, approve: bool, recorded: bool },
    Claim(usize),
    Drop { which: usize, leave: bool },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8).prop_map(Step::Ask),
        3 => (any::<usize>(), any::<bool>(), prop::bool::weighted(0.8))
            .prop_map(|(which, approve, recorded)| Step::Decide { which, approve, recorded }),
        4 => any::<usize>().prop_map(Step::Claim),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, leave)| Step::Drop { which, leave }),
        2 => (0..TIMEOUT_MS).prop_map(Step::Wait),
    ]
}

/// What the audit knows of one question.
#[derive(Debug, Default)]
struct Facts {
    text: u8,
    asked_ms: u64,
    decided: Option<(Decision, u64)>,
    uses: u32,
    waiting: i64,
    left: bool,
}

#[derive(Default)]
struct Audit {
    now_ms: u64,
    questions: BTreeMap<ApprovalId, Facts>,
}

impl Audit {
    /// The question that a number chooses.
    fn which(&self, number: usize) -> Option<ApprovalId> {
        let count = self.questions.len();
        (count > 0).then(|| self.questions.keys().nth(number % count).copied()).flatten()
    }

    fn fresh(&self, since_ms: u64) -> bool {
        self.now_ms < since_ms + TIMEOUT_MS
    }

    fn ask(&mut self, book: &mut Book, text: u8) -> Result<(), TestCaseError> {
        let asked = match book.ask(ApprovalId::new(), &ask(&text.to_string(), ""), at(self.now_ms)) {
            Ok(asked) => asked,
            Err(wrong) => {
                prop_assert_eq!(wrong, Wrong::Full("pending"));
                return Ok(());
            }
        };
        prop_assert_eq!(asked.new, !self.questions.contains_key(&asked.id));
        let now_ms = self.now_ms;
        let facts =
            self.questions.entry(asked.id).or_insert_with(|| Facts { text, asked_ms: now_ms, ..Facts::default() });
        prop_assert_eq!(facts.text, text, "another text's question");
        prop_assert_eq!(facts.uses, 0, "a used approval is never joined");
        facts.waiting += 1;
        Ok(())
    }

    fn decide(
        &mut self,
        book: &mut Book,
        id: ApprovalId,
        decision: Decision,
        recorded: bool,
    ) -> Result<(), TestCaseError> {
        let (now_ms, fresh) = (self.now_ms, self.fresh(self.questions[&id].asked_ms));
        let Ok(decided) = book.begin(id, decision, &operator(), "because", at(now_ms)) else { return Ok(()) };
        prop_assert!(fresh, "decided after its time");
        prop_assert!(self.questions[&id].decided.is_none(), "decided twice");
        prop_assert!(book.begin(id, Decision::Approve, &operator(), "", at(now_ms)).is_err(), "begun twice");
        if recorded {
            prop_assert_eq!(book.decide(decided), Ok(()));
            self.questions.get_mut(&id).unwrap().decided = Some((decision, now_ms));
        } else {
            book.give_up(id);
        }
        Ok(())
    }

    fn claim(&mut self, book: &mut Book, id: ApprovalId) -> Result<(), TestCaseError> {
        let claim = book.claim(&[id], self.now_ms);
        let facts = &self.questions[&id];
        match claim {
            Claim::Wait(until_ms) => {
                prop_assert!(facts.decided.is_none() && self.fresh(facts.asked_ms));
                prop_assert_eq!(until_ms, Some(facts.asked_ms + TIMEOUT_MS));
            }
            Claim::Ruled(rulings) => match (the_one(rulings).state, facts.decided) {
                (RulingState::Approved, Some((Decision::Approve, at_ms))) => {
                    prop_assert!(self.fresh(at_ms), "used after its time");
                    prop_assert_eq!(facts.uses, 0, "used twice");
                    self.questions.get_mut(&id).unwrap().uses = 1;
                }
                (RulingState::Denied, Some((Decision::Deny, _))) | (RulingState::Cancelled, _) => {}
                (RulingState::Expired, None) => prop_assert!(!self.fresh(facts.asked_ms), "expired before its time"),
                (RulingState::Expired, Some((Decision::Approve, at_ms))) => prop_assert!(!self.fresh(at_ms)),
                other => prop_assert!(false, "{other:?}"),
            },
        }
        Ok(())
    }

    fn drop(&mut self, book: &mut Book, id: ApprovalId, leave: bool) -> Result<(), TestCaseError> {
        let facts = self.questions.get_mut(&id).unwrap();
        if facts.waiting == 0 {
            return Ok(());
        }
        facts.waiting -= 1;
        facts.left |= leave;
        book.drop_waiter(id, leave);
        let state = book.approval_of(id).map(|approval| approval.state);
        if facts.waiting == 0 && !facts.left && facts.decided.is_none() {
            prop_assert_ne!(state, Some(State::Pending), "nobody waits for it");
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn an_approval_is_used_once_in_time_and_only_when_given(steps in vec(step(), 1..120)) {
        let (mut book, mut audit) = (Book::new(terms()), Audit::default());
        for step in steps {
            match step {
                Step::Ask(text) => audit.ask(&mut book, text)?,
                Step::Wait(ms) => audit.now_ms += ms,
                Step::Decide { which, approve, recorded } => {
                    let decision = if approve { Decision::Approve } else { Decision::Deny };
                    if let Some(id) = audit.which(which) {
                        audit.decide(&mut book, id, decision, recorded)?;
                    }
                }
                Step::Claim(which) => {
                    if let Some(id) = audit.which(which) {
                        audit.claim(&mut book, id)?;
                    }
                }
                Step::Drop { which, leave } => {
                    if let Some(id) = audit.which(which) {
                        audit.drop(&mut book, id, leave)?;
                    }
                }
            }
            let open = book.iter().filter(|approval| approval.state == State::Pending).count();
            prop_assert!(open <= terms().pending);
            book.assert_sums();
        }
    }
}

#[test]
fn two_policies_that_ask_about_one_request_ask_two_questions() {
    let mut book = Book::new(terms());
    let one = ask("text", "");
    let other = Ask { policy: ("second".to_owned(), Digest([1; 32])), ..one.clone() };
    let first = book.ask(ApprovalId::new(), &one, at(0)).unwrap();
    assert!(book.ask(ApprovalId::new(), &other, at(0)).unwrap().new);
    assert_eq!(book.ask(ApprovalId::new(), &one, at(0)).unwrap().id, first.id);
}

/// Two questions about one request.
fn two(book: &mut Book, now_ms: u64) -> [Asked; 2] {
    ["rows", "tables"].map(|summary| {
        let mut one = ask("drop it", "");
        one.question.summary = summary.to_owned();
        book.ask(ApprovalId::new(), &one, at(now_ms)).unwrap()
    })
}

fn decide(book: &mut Book, id: ApprovalId, decision: Decision) {
    let decided = book.begin(id, decision, &operator(), "", at(1)).unwrap();
    book.decide(decided).unwrap();
}

#[test]
fn of_several_questions_about_one_request_none_is_used_before_all_are_approved() {
    let mut book = Book::new(terms());
    let ids = two(&mut book, 0).map(|asked| asked.id);
    decide(&mut book, ids[0], Decision::Approve);
    assert_eq!(book.claim(&ids, 2), Claim::Wait(Some(TIMEOUT_MS)));
    ids.into_iter().for_each(|id| book.drop_waiter(id, true));
    assert_eq!(two(&mut book, 3).map(|asked| asked.id), ids, "asked again, it is the same two");
    assert_eq!(book.approval_of(ids[0]).unwrap().state, State::Approved, "not used up");
    decide(&mut book, ids[1], Decision::Approve);
    assert!(matches!(book.claim(&ids, 4), Claim::Ruled(Rulings::Approved(rulings)) if rulings.len() == 2));
    assert!(ids.iter().all(|id| book.approval_of(*id).unwrap().state == State::Consumed));
    assert!(is(book.claim(&ids, 4), RulingState::Cancelled), "once is once");
}

#[test]
fn a_denial_of_one_question_stops_the_request_and_uses_no_approval_of_another() {
    let mut book = Book::new(terms());
    let ids = two(&mut book, 0).map(|asked| asked.id);
    decide(&mut book, ids[0], Decision::Approve);
    decide(&mut book, ids[1], Decision::Deny);
    assert!(matches!(book.claim(&ids, 2), Claim::Ruled(Rulings::Stopped(id, ruling))
        if id == ids[1] && ruling.state == RulingState::Denied));
    assert_eq!(book.approval_of(ids[0]).unwrap().state, State::Approved);
}

#[test]
fn what_several_questions_show_counts_once() {
    let mut book = Book::new(Terms { shown_bytes: 10, ..terms() });
    let ids = two(&mut book, 0).map(|asked| asked.id);
    book.assert_sums();
    assert_eq!(book.ask(ApprovalId::new(), &ask("more", ""), at(0)), Err(Wrong::Full("shown_bytes")));
    for id in ids {
        assert_eq!(book.approval_of(id).unwrap().shown.as_ref(), b"drop it");
        book.drop_waiter(id, false);
        book.assert_sums();
    }
    assert!(book.ask(ApprovalId::new(), &ask("the others", ""), at(0)).is_ok(), "there is room again");
}

#[test]
fn the_head_that_is_shown_counts_with_the_bytes_and_goes_with_them() {
    let mut book = Book::new(Terms { shown_bytes: 400, ..terms() });
    let mut one = ask("text", "");
    let header = Attribute { name: "x-run-as".into(), value: "root".into() };
    let head = AskedHead { method: "DELETE".into(), target: format!("/{}", "x".repeat(299)), ..nowhere() };
    one.head = AskedHead { headers: vec![header.clone(); 100], ..head.clone() }.into();
    assert_eq!(book.ask(ApprovalId::new(), &one, at(0)), Err(Wrong::Full("shown_bytes")));
    one.head = AskedHead { headers: vec![header], ..head }.into();
    let id = book.ask(ApprovalId::new(), &one, at(0)).unwrap().id;
    assert_eq!(*book.approval_of(id).unwrap().head, *one.head);
    book.assert_sums();
    book.drop_waiter(id, false);
    book.assert_sums();
    let closed = &book.approval_of(id).unwrap().head;
    assert_eq!((closed.method.as_str(), closed.headers.len()), ("DELETE", 0));
    assert!(closed.target.len() < 270 && closed.target.ends_with('…'), "{}", closed.target);
}

#[test]
fn the_caller_may_deny_its_own_request_and_never_approve_it() {
    let mut book = Book::new(terms());
    let id = book.ask(ApprovalId::new(), &ask("text", ""), at(0)).unwrap().id;
    let caller = Decider::operator("ann");
    assert_eq!(book.begin(id, Decision::Approve, &caller, "", at(1)), Err(Wrong::NotAllowed("ann".to_owned())));
    let denied = book.begin(id, Decision::Deny, &caller, "", at(1)).unwrap();
    book.decide(denied).unwrap();
    assert!(is(book.claim(&[id], 2), RulingState::Denied));
}

#[test]
fn who_has_groups_needs_the_right_one() {
    let mut book = Book::new(Terms { approvers: vec!["security".to_owned()], ..terms() });
    let id = book.ask(ApprovalId::new(), &ask("text", ""), at(0)).unwrap().id;
    let member = |group: &str| Decider { name: "eve".to_owned(), groups: Some(vec![group.to_owned()]) };
    assert!(book.begin(id, Decision::Approve, &member("sales"), "", at(1)).is_err());
    assert!(book.begin(id, Decision::Approve, &member("security"), "", at(1)).is_ok());
}

#[test]
fn what_is_remembered_is_the_very_same_request_in_its_session() {
    let mut book = Book::new(Terms { pending: 100, ..terms() });
    let id = book.ask(ApprovalId::new(), &ask("text", "export"), at(0)).unwrap().id;
    let approved = book.begin(id, Decision::Approve, &operator(), "", at(1)).unwrap();
    book.decide(approved).unwrap();
    for now_ms in [2, 3, TIMEOUT_MS * 5] {
        let again = book.ask(ApprovalId::new(), &ask("text", "export"), at(now_ms)).unwrap();
        assert_eq!((again.id, again.new), (id, false));
        assert!(is(book.claim(&[id], now_ms), RulingState::Approved));
    }
    let mut elsewhere = ask("text", "export");
    Arc::make_mut(&mut elsewhere.about).session = SessionId::new();
    // All that the path binds (connection, headers, bytes, caller, …) is in this digest.
    let other_request = Ask { bound_to: Digest([3; 32]), ..ask("text", "export") };
    for other in [ask("other text", "export"), ask("text", "delete"), elsewhere, other_request] {
        assert!(book.ask(ApprovalId::new(), &other, at(2)).unwrap().new, "{other:?}");
    }
}

#[test]
fn no_two_callers_share_a_question_whatever_the_path_binds() {
    let by = |issuer: &str, subject: &str| {
        let mut ask = ask("text", "export");
        let caller = Arc::make_mut(&mut Arc::make_mut(&mut ask.about).caller);
        (caller.issuer, caller.subject) = (issuer.to_owned(), subject.to_owned());
        ask
    };
    let mut book = Book::new(terms());
    let id = book.ask(ApprovalId::new(), &by("idp", "ann"), at(0)).unwrap().id;
    let approved = book.begin(id, Decision::Approve, &operator(), "", at(1)).unwrap();
    book.decide(approved).unwrap();
    for other in [by("idp", "bob"), by("another", "ann"), by("idpa", "nn")] {
        assert!(book.ask(ApprovalId::new(), &other, at(2)).unwrap().new, "{:?}", other.about.caller);
    }
    assert_eq!(book.ask(ApprovalId::new(), &by("idp", "ann"), at(2)), Ok(Asked { id, new: false }));
}

#[test]
fn what_is_remembered_of_a_caller_goes_with_its_credentials() {
    let mut book = Book::new(terms());
    let id = book.ask(ApprovalId::new(), &ask("text", "export"), at(0)).unwrap().id;
    let approved = book.begin(id, Decision::Approve, &operator(), "", at(1)).unwrap();
    book.decide(approved).unwrap();
    assert!(is(book.claim(&[id], 2), RulingState::Approved));
    book.withdraw(|approval| approval.caller.subject == "ann", "revoked");
    assert!(book.ask(ApprovalId::new(), &ask("text", "export"), at(3)).unwrap().new);
}

#[test]
fn a_question_that_was_left_waits_for_the_same_request() {
    let mut book = Book::new(terms());
    let id = book.ask(ApprovalId::new(), &ask("text", ""), at(0)).unwrap().id;
    book.drop_waiter(id, true);
    let approved = book.begin(id, Decision::Approve, &operator(), "", at(1)).unwrap();
    book.decide(approved).unwrap();
    assert_eq!(book.ask(ApprovalId::new(), &ask("text", ""), at(2)).unwrap().id, id);
    assert!(is(book.claim(&[id], 2), RulingState::Approved));
    assert!(book.ask(ApprovalId::new(), &ask("text", ""), at(3)).unwrap().new, "once is once");
}

#[test]
fn one_caller_does_not_fill_the_desk_and_no_text_fills_the_memory() {
    let mut book = Book::new(Terms { pending_per_caller: 1, shown_bytes: 10, ..terms() });
    assert_eq!(book.ask(ApprovalId::new(), &ask("longer than that", ""), at(0)), Err(Wrong::Full("shown_bytes")));
    book.ask(ApprovalId::new(), &ask("one", ""), at(0)).unwrap();
    assert_eq!(book.ask(ApprovalId::new(), &ask("two", ""), at(0)), Err(Wrong::Full("pending_per_caller")));
    let mut other = ask("two", "");
    Arc::make_mut(&mut Arc::make_mut(&mut other.about).caller).subject = "bob".to_owned();
    assert!(book.ask(ApprovalId::new(), &other, at(0)).is_ok());
}

#[test]
fn one_caller_leaves_room_for_the_others_to_be_shown() {
    let mut book = Book::new(Terms { pending: 100, shown_bytes: 100, shown_bytes_per_caller: 20, ..terms() });
    let by = |subject: &str, groups: &str, text: &str| {
        let mut ask = ask(text, "");
        let caller = Arc::make_mut(&mut Arc::make_mut(&mut ask.about).caller);
        (caller.subject, caller.groups) = (subject.to_owned(), vec![groups.to_owned()]);
        ask
    };
    let own = Err(Wrong::Full("shown_bytes_per_caller"));
    for (caller, groups, length, full) in [("ann", "a", 12, false), ("ann", "a", 8, false), ("ann", "a", 1, true)] {
        let asked = book.ask(ApprovalId::new(), &by(caller, groups, &"x".repeat(length)), at(0));
        assert_eq!(asked == own, full, "{length}: {asked:?}");
    }
    assert_eq!(book.ask(ApprovalId::new(), &by("ann", "another", "y"), at(0)), own, "the same one, in another group");
    let long = book.ask(ApprovalId::new(), &by("bob", "b", &"x".repeat(60)), at(0));
    assert!(long.is_ok(), "the first of a caller is asked however long it is");
    assert_eq!(book.ask(ApprovalId::new(), &by("bob", "b", "y"), at(0)), own);
    let over = book.ask(ApprovalId::new(), &by("eve", "e", &"x".repeat(21)), at(0));
    assert_eq!(over, Err(Wrong::Full("shown_bytes")));
}

#[test]
fn what_was_closed_last_is_known_however_long_ago_it_was_asked() {
    let mut book = Book::new(terms());
    let [used, late] = ["used", "late"].map(|text| book.ask(ApprovalId::new(), &ask(text, ""), at(0)).unwrap().id);
    for number in 0..=1000 {
        let later = book.ask(ApprovalId::new(), &ask(&number.to_string(), ""), at(0)).unwrap().id;
        book.drop_waiter(later, false);
    }
    decide(&mut book, used, Decision::Approve);
    assert!(is(book.claim(&[used], 2), RulingState::Approved));
    assert_eq!(book.approval_of(used).map(|used| used.state), Some(State::Consumed));
    assert!(is(book.claim(&[late], TIMEOUT_MS), RulingState::Expired), "and not cancelled long ago");
    assert_eq!(book.iter().count(), 1000, "bounded all the same");
}

#[test]
fn what_is_due_goes_by_the_steady_time_and_what_is_told_by_the_time_of_day() {
    let mut book = Book::new(terms());
    let now = |steady_ms, wall_ms| Now { steady_ms, wall_ms };
    let id = book.ask(ApprovalId::new(), &ask("text", ""), now(0, 5_000_000)).unwrap().id;
    let asked = book.approval_of(id).unwrap();
    assert_eq!((asked.asked_at_ms, asked.expires_at_ms), (5_000_000, 5_000_000 + TIMEOUT_MS));
    assert_eq!(asked.clone().told(1000).left_ms, TIMEOUT_MS - 1000);
    // The system's clock is set forth by much more than the question has.
    let decided = book.begin(id, Decision::Approve, &operator(), "", now(1000, 90_000_000)).unwrap();
    assert_eq!(decided.decided_at_ms, Some(90_000_000));
    book.decide(decided).unwrap();
    assert!(is(book.claim(&[id], 1000 + TIMEOUT_MS - 1), RulingState::Approved));
}

#[test]
fn while_a_decision_is_recorded_nobody_else_decides_and_who_waits_is_not_woken_by_time() {
    let mut book = Book::new(terms());
    let id = book.ask(ApprovalId::new(), &ask("text", ""), at(0)).unwrap().id;
    let decided = book.begin(id, Decision::Deny, &operator(), "", at(1)).unwrap();
    let second = book.begin(id, Decision::Approve, &operator(), "", at(1));
    assert_eq!(second, Err(Wrong::BeingDecided));
    assert_eq!(book.claim(&[id], TIMEOUT_MS * 2), Claim::Wait(None));
    book.decide(decided).unwrap();
    assert!(is(book.claim(&[id], 2), RulingState::Denied));
}
