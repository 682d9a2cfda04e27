//! The rule, at every split.

use policy_sdk::rig::Rig;
use ssn_guard::SsnGuard;

#[test]
fn what_the_rule_says() {
    let rig = Rig::<SsnGuard>::new("").expect("nothing to set");
    for (text, expected) in [
        ("my ssn is 078-05-1120", "my ssn is [SSN]"),
        ("078-05-1120, 078-05-1120.", "[SSN], [SSN]."),
        ("mail jane@example.org or 078-05-1120!", "mail [EMAIL] or [SSN]!"),
        ("x123-456-78-9012 and x078-05-1120", "x123-[SSN] and x078-05-1120"),
        ("078-05-11201 078-05-112 1078-05-1120", "078-05-11201 078-05-112 1078-05-1120"),
        ("078-05-1120@example.org", "[EMAIL]"),
        ("078-05-1120@ example.org", "[SSN]@ example.org"),
        ("a@b.co078-05-1120 a@b.co-078-05-1120", "[EMAIL]078-05-1120 [EMAIL]-[SSN]"),
        ("078-05-1120-05-1120-078-05-1120", "[SSN]-05-1120-[SSN]"),
        ("号码078-05-1120是😀078-05-1120😀", "号码[SSN]是😀[SSN]😀"),
        ("_078-05-1120 é078-05-1120é", "_078-05-1120 é[SSN]é"),
        ("", ""),
    ] {
        rig.every_split(text, expected);
    }
}
