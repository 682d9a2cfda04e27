//! Policies written by hand: what they answer is a memory image laid out by the canonical ABI, what they do is a few
//! lines of WebAssembly text. So a test can have a guest answer anything at all, which no SDK would let it.
//!
//! <https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where images are laid out, below the pages that `cabi_realloc` hands out.
const BASE: u32 = 1_024;
/// Where `cabi_realloc` begins.
const HEAP: u32 = 65_536;

const POLICY: &str = "portcullis:policy/policy@0.1.0";

/// A guest being built.
pub struct Guest {
    image: Vec<u8>,
    world: String,
    imports: String,
    functions: String,
    metadata: u32,
    plan: u32,
    pub memory_pages: u32,
    /// WebAssembly text at the end of the module, such as a start function.
    pub start: &'static str,
    /// Put before the body of `cabi_realloc`.
    pub realloc: &'static str,
    /// Body of `configure`; `$settings $length` are its parameters.
    pub configure: Option<String>,
    /// Body of `open`; `$exchange` points to the record.
    pub open: Option<String>,
}

/// An answer's fields, in the order of its record; alignment is four throughout, as in all answers of the contract.
#[derive(Default)]
pub struct Record(Vec<u32>);

impl Record {
    pub fn word(mut self, word: u32) -> Self {
        self.0.push(word);
        self
    }

    pub fn words(mut self, words: &[u32]) -> Self {
        self.0.extend_from_slice(words);
        self
    }

    pub fn text(self, guest: &mut Guest, text: &str) -> Self {
        let at = guest.bytes(text.as_bytes());
        self.word(at).word(text.len() as u32)
    }

    /// A list of records of the same size.
    pub fn list(self, guest: &mut Guest, items: &[Record]) -> Self {
        let words: Vec<u32> = items.iter().flat_map(|item| item.0.iter().copied()).collect();
        let at = guest.words(&words);
        self.word(at).word(items.len() as u32)
    }
}

/// `start`, `end`, the case of the substitute (0 literal, 1 token), its text, the reason.
pub fn edit(guest: &mut Guest, start: u32, end: u32, by: (u32, &str), reason: &str) -> Record {
    Record::default().word(start).word(end).word(by.0).text(guest, by.1).text(guest, reason)
}

/// What a plan says; the rest is empty.
#[derive(Default)]
pub struct PlanOf<'a> {
    /// 0 utf8, 1 utf16, 2 scalar.
    pub offsets: u32,
    /// Id, regex, check.
    pub patterns: &'a [(&'a str, &'a str, &'a str)],
    pub only_on_hit: bool,
    pub look_behind: u32,
    pub skip: u32,
}

impl Guest {
    /// A guest that allows everything, with no hook.
    pub fn new() -> Self {
        let mut guest = Self {
            image: Vec::new(),
            world: String::new(),
            imports: String::new(),
            functions: String::new(),
            metadata: 0,
            plan: 0,
            memory_pages: 2,
            start: "",
            realloc: "",
            configure: None,
            open: None,
        };
        guest.describe("");
        guest.plan(&PlanOf::default());
        guest
    }

    pub fn describe(&mut self, schema: &str) {
        self.name("by-hand", schema);
    }

    pub fn name(&mut self, name: &str, schema: &str) {
        let record = Record::default()
            .text(self, name)
            .text(self, "1.2.3")
            .text(self, "made by a test")
            .text(self, schema)
            .words(&[0, 0]);
        self.metadata = self.words(&record.0);
    }

    pub fn plan(&mut self, plan: &PlanOf<'_>) {
        let patterns: Vec<Record> = plan
            .patterns
            .iter()
            .map(|(id, regex, check)| Record::default().text(self, id).text(self, regex).text(self, check).word(64))
            .collect();
        let record = Record::default().words(&[0, plan.offsets, 0, 0, 0, 0, 0, 0]).list(self, &patterns).words(&[
            u32::from(plan.only_on_hit),
            plan.look_behind,
            plan.skip,
            0,
            0,
        ]);
        self.plan = self.words(&record.0);
    }

    /// Lays words out and answers where.
    pub fn words(&mut self, words: &[u32]) -> u32 {
        while !self.image.len().is_multiple_of(4) {
            self.image.push(0);
        }
        self.bytes(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
    }

    pub fn record(&mut self, record: &Record) -> u32 {
        self.words(&record.0)
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> u32 {
        let at = BASE + self.image.len() as u32;
        self.image.extend_from_slice(bytes);
        at
    }

    /// `ok` of `result<verdict, string>`.
    pub fn verdict(&mut self, case: u32, payload: &Record) -> u32 {
        let mut words = vec![0, case];
        words.extend_from_slice(&payload.0);
        words.resize(11, 0);
        self.words(&words)
    }

    /// `result<decision, string>`.
    pub fn decision(&mut self, verdict: (u32, &Record), edits: &[Record], hold_back: u32, notes: &[Record]) -> u32 {
        let mut words = vec![0, verdict.0];
        words.extend_from_slice(&verdict.1.0);
        words.resize(11, 0);
        let tail = Record::default().list(self, edits).word(hold_back).list(self, notes);
        words.extend_from_slice(&tail.0);
        self.words(&words)
    }

    /// `ok` of any hook's result but `on-text`'s: the verdict, then the rest of the record.
    pub fn answer(&mut self, verdict: (u32, &Record), rest: &Record) -> u32 {
        let mut words = vec![0, verdict.0];
        words.extend_from_slice(&verdict.1.0);
        words.resize(11, 0);
        words.extend_from_slice(&rest.0);
        self.words(&words)
    }

    /// `err(message)` of a hook's result.
    pub fn error(&mut self, message: &str) -> u32 {
        let record = Record::default().word(1).text(self, message);
        self.words(&record.0)
    }

    /// Imports a function: `import("log", "write", "(param i32 i32 i32)", "$log")`.
    pub fn import(&mut self, interface: &str, function: &str, signature: &str, name: &str) {
        if !self.world.contains(&format!("import portcullis:policy/{interface}@0.1.0;")) {
            self.world += &format!("import portcullis:policy/{interface}@0.1.0;\n");
        }
        self.imports +=
            &format!("(import \"portcullis:policy/{interface}@0.1.0\" \"{function}\" (func {name} {signature}))\n");
    }

    /// Adds WebAssembly text to the module.
    pub fn define(&mut self, text: &str) {
        self.functions += text;
    }

    /// Exports `text.on-text` with this body. Parameters in order: `$direction $channel $channel_length $speaker
    /// $speaker_length $part $before $before_length $pending $pending_length $fresh $last $hits $hits_length $extra
    /// $extra_length`.
    pub fn on_text(mut self, body: &str) -> Self {
        self.hook(
            "text",
            "on-text",
            "(param $direction i32) (param $channel i32) (param $channel_length i32) (param $speaker i32) \
             (param $speaker_length i32) (param $part i32) (param $before i32) (param $before_length i32) \
             (param $pending i32) (param $pending_length i32) (param $fresh i32) (param $last i32) (param $hits i32) \
             (param $hits_length i32) (param $extra i32) (param $extra_length i32) (result i32)",
            body,
        );
        self
    }

    /// Exports one function of an interface.
    pub fn hook(&mut self, interface: &str, function: &str, signature: &str, body: &str) {
        if !self.world.contains(&format!("export portcullis:policy/{interface}@0.1.0;")) {
            self.world += &format!("export portcullis:policy/{interface}@0.1.0;\n");
        }
        self.functions +=
            &format!("(func (export \"portcullis:policy/{interface}@0.1.0#{function}\") {signature}\n{body})\n");
    }

    /// The component.
    pub fn build(mut self) -> Vec<u8> {
        let allow = self.verdict(0, &Record::default());
        let (metadata, plan) = (self.metadata, self.plan);
        let configure = self.configure.take().unwrap_or(format!("(i32.const {plan})"));
        let open = self.open.take().unwrap_or(format!("(i32.const {allow})"));
        let data: String = self.image.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let (imports, functions, pages) = (&self.imports, &self.functions, self.memory_pages);
        let (start, realloc) = (self.start, self.realloc);
        let text = format!(
            r#"(module
            {imports}
            (memory (export "memory") {pages})
            (data (i32.const {BASE}) "{data}")
            (global $heap (mut i32) (i32.const {HEAP}))
            (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
              (local $at i32)
              {realloc}
              (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
              (global.set $heap (i32.add (local.get $at) (local.get $size)))
              (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
                (then (if (i32.eq (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1)))
                                  (i32.const -1))
                  (then (unreachable)))))
              (local.get $at))
            (func (export "{POLICY}#describe") (result i32) (i32.const {metadata}))
            (func (export "{POLICY}#configure") (param $settings i32) (param $length i32) (result i32) {configure})
            (func (export "{POLICY}#open") (param $exchange i32) (result i32) {open})
            {functions}
            {start})"#
        );
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut resolve = Resolve::default();
        resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../wit")).unwrap();
        let package = resolve
            .push_str(
                "guest.wit",
                &format!(
                    "package test:guest;\nworld guest {{ include portcullis:policy/base@0.1.0;\n{} }}",
                    self.world
                ),
            )
            .unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
    }
}
