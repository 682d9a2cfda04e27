//! From claims to a caller: its groups, and what policies may see of it.
//!
//! What must hold: a claim that should tell groups and does not is not taken for "no groups": a policy may treat a
//! member more strictly than others.

use model::Caller;
use serde_json::{Map, Value};

use super::Issuer;
use crate::jwt::{Claims, Fault};

/// The most groups of a caller.
const GROUPS: usize = 1000;
/// The longest name of a group, in bytes.
const GROUP_BYTES: usize = 256;

/// Where in the claims a value stands: a member's name, or a JSON Pointer (RFC 6901) such as `/realm_access/roles`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimPath(String);

impl ClaimPath {
    /// A member by its name.
    #[must_use]
    pub fn member(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// As the configuration has it: a pointer where it begins with `/`, else a member's name. Not for the empty text,
    /// which would be all claims.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The value there.
    #[must_use]
    pub fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let (member, rest) = self.split();
        let value = claims.get(&member)?;
        rest.map_or(Some(value), |rest| value.pointer(&format!("/{rest}")))
    }

    /// Whether something stands in the way that can have nothing of that name in it: what is there can't be told.
    fn is_blocked(&self, claims: &Map<String, Value>) -> bool {
        let (member, rest) = self.split();
        let (Some(mut value), Some(rest)) = (claims.get(&member), rest) else { return false };
        for step in rest.split('/') {
            match value.pointer(&format!("/{step}")) {
                Some(next) => value = next,
                None => return !(value.is_object() || (value.is_array() && step.parse::<usize>().is_ok())),
            }
        }
        false
    }

    /// The member of the claims that it leads to, and what of the pointer is left there.
    fn split(&self) -> (String, Option<&str>) {
        let Some(rest) = self.0.strip_prefix('/') else { return (self.0.clone(), None) };
        let (first, rest) = rest.split_once('/').map_or((rest, None), |(first, rest)| (first, Some(rest)));
        (first.replace("~1", "/").replace("~0", "~"), rest)
    }

    /// As the configuration has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a token says that somebody else tells what should stand there: another source (OpenID Connect Core 1.0,
/// 5.6.2), which Entra ID names when a caller has too many groups for a token, or `hasgroups`, which it says where it has
/// no room for that either.
fn told_elsewhere(path: &ClaimPath, members: &Map<String, Value>) -> bool {
    let (member, _) = path.split();
    let named = match members.get("_claim_names") {
        None => false,
        Some(Value::Object(names)) => names.contains_key(&member),
        Some(_) => true,
    };
    named || (member == "groups" && members.get("hasgroups").is_some_and(|has| *has != false))
}

/// The caller behind claims that were checked.
pub(super) fn caller(issuer: &Issuer, claims: &Claims, members: &Map<String, Value>) -> Result<Caller, Fault> {
    let mut groups = Vec::new();
    for path in &issuer.groups {
        if told_elsewhere(path, members) {
            return Err(Fault::Claim("groups"));
        }
        match path.find(members) {
            None if path.is_blocked(members) => return Err(Fault::Claim("groups")),
            None => {}
            Some(Value::String(group)) => groups.push(group.clone()),
            Some(Value::Array(list)) => {
                for group in list {
                    groups.push(group.as_str().ok_or(Fault::Claim("groups"))?.to_owned());
                }
            }
            Some(_) => return Err(Fault::Claim("groups")),
        }
    }
    let fits = |group: &String| !group.is_empty() && group.len() <= GROUP_BYTES && !group.chars().any(char::is_control);
    if groups.len() > GROUPS || !groups.iter().all(fits) {
        return Err(Fault::Claim("groups"));
    }
    groups.sort();
    groups.dedup();
    let shown = issuer.shown.iter().filter_map(|path| Some((path.0.clone(), path.find(members)?.clone())));
    let shown = Value::Object(shown.collect()).to_string();
    Ok(Caller { subject: claims.subject.clone(), issuer: issuer.url.clone(), groups, claims: shown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(members: &Value, change: impl FnOnce(&mut Issuer)) -> Result<Caller, Fault> {
        let mut issuer = Issuer::new("https://idp", ["gate"]);
        change(&mut issuer);
        let claims = Claims { subject: "ann".into(), issued: 1, expires: 2, id: None, certificate: None };
        caller(&issuer, &claims, members.as_object().unwrap())
    }

    #[test]
    fn groups_come_from_where_the_configuration_says() {
        let claims = json!({"groups": "staff", "realm_access": {"roles": ["b", "a", "a"]}, "https://x/roles": ["c"]});
        assert_eq!(map(&claims, |_| {}).unwrap().groups, ["staff"]);
        let all = |issuer: &mut Issuer| {
            issuer.groups = ["groups", "/realm_access/roles", "https://x/roles", "absent", "/realm_access/absent/0"]
                .map(|path| ClaimPath::read(path).unwrap())
                .into();
        };
        assert_eq!(map(&claims, all).unwrap().groups, ["a", "b", "c", "staff"]);
        assert!(map(&json!({}), all).unwrap().groups.is_empty());
    }

    #[test]
    fn groups_that_can_not_be_read_are_not_no_groups() {
        let many: Vec<String> = (0..=GROUPS).map(|at| at.to_string()).collect();
        for groups in [
            json!(1),
            json!({"a": 1}),
            json!(["a", 1]),
            json!([["a"]]),
            json!(""),
            json!("a\nb"),
            json!("x".repeat(257)),
            json!(many),
            json!(null),
        ] {
            assert_eq!(map(&json!({ "groups": groups }), |_| {}), Err(Fault::Claim("groups")), "{groups}");
        }
        let roles = |issuer: &mut Issuer| issuer.groups = vec![ClaimPath::read("/a/b/roles").unwrap()];
        for there in [json!("x"), json!(null), json!([]), json!(["roles"]), json!(7), json!({"roles": null})] {
            for claims in [json!({ "a": there }), json!({ "a": { "b": there } })] {
                let nowhere = claims != json!({ "a": { "roles": null } });
                assert_eq!(map(&claims, roles).is_err(), nowhere, "{claims}");
            }
        }
        let first = |issuer: &mut Issuer| issuer.groups = vec![ClaimPath::read("/groups/0").unwrap()];
        assert_eq!(map(&json!({ "groups": ["a", "b"] }), first).unwrap().groups, ["a"]);
        assert!(map(&json!({ "groups": [] }), first).unwrap().groups.is_empty(), "there is none");
        assert!(map(&json!({ "groups": "a" }), first).is_err());
    }

    #[test]
    fn groups_that_are_told_elsewhere_are_not_no_groups() {
        let sources = json!({"src1": {"endpoint": "https://graph.example.com/users/1/getMemberObjects"}});
        for claims in [
            json!({"_claim_names": {"groups": "src1"}, "_claim_sources": sources}),
            json!({"_claim_names": {"groups": "src1"}, "groups": ["some"]}),
            json!({"_claim_names": {"groups": null}}),
            json!({"_claim_names": "groups"}),
            json!({"hasgroups": true}),
            json!({"hasgroups": "true"}),
        ] {
            assert_eq!(map(&claims, |_| {}), Err(Fault::Claim("groups")), "{claims}");
        }
        let roles = |issuer: &mut Issuer| issuer.groups = vec![ClaimPath::read("/realm_access/roles").unwrap()];
        let elsewhere = json!({"_claim_names": {"realm_access": "src1"}});
        assert_eq!(map(&elsewhere, roles), Err(Fault::Claim("groups")));
        // What is told elsewhere of something else, or of nothing that is looked at, is no matter.
        let others = json!({"_claim_names": {"address": "src1"}, "hasgroups": false, "groups": ["staff"]});
        assert_eq!(map(&others, |_| {}).unwrap().groups, ["staff"]);
        let groups = json!({"_claim_names": {"groups": "src1"}, "hasgroups": true});
        assert!(map(&groups, roles).unwrap().groups.is_empty());
        assert!(map(&groups, |issuer| issuer.groups = Vec::new()).unwrap().groups.is_empty());
    }

    #[test]
    fn policies_see_only_the_claims_that_are_named() {
        let claims = json!({"email": "a@x", "phone": "1", "address": {"city": "c"}});
        assert_eq!(map(&claims, |_| {}).unwrap().claims, "{}");
        let caller = map(&claims, |issuer| {
            issuer.shown = ["email", "/address/city", "absent"].map(|path| ClaimPath::read(path).unwrap()).into();
        });
        assert_eq!(caller.unwrap().claims, r#"{"email":"a@x","/address/city":"c"}"#);
    }

    #[test]
    fn a_path_is_a_name_or_a_pointer() {
        let claims = json!({"a/b": 1, "a": {"b": 2, "": 3}, "m~n": 4});
        let claims = claims.as_object().unwrap();
        let find = |path: &str| ClaimPath::read(path).unwrap().find(claims).cloned();
        assert_eq!(find("a/b"), Some(json!(1)));
        assert_eq!(find("/a/b"), Some(json!(2)));
        assert_eq!(find("/a/"), Some(json!(3)));
        assert_eq!(find("/a~1b"), Some(json!(1)));
        assert_eq!(find("/m~0n"), Some(json!(4)));
        assert_eq!(find("/"), None);
        assert_eq!(ClaimPath::read(""), None);
    }
}
