//! What a file would do, or reach for, when a program loads it: facts as the readers found them, not judged.
//!
//! `formats::examine` gathers it, `analysis::safety` judges it. Nothing here was carried out.

use std::collections::BTreeMap;

/// Everything found in a file or a folder.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What the file is, in a word or two: `a zip archive`, `a pickle`; empty where nothing was recognised.
    pub kind: String,
    /// Names that pickles import, in order of first mention; one entry per name and place.
    pub imports: Vec<Import>,
    /// Calls that loading would make; one entry per target and place.
    pub calls: Vec<LoadCall>,
    /// Everything else; of each kind the first few.
    pub observations: Vec<Observation>,
    /// How many observations of each kind were made.
    pub observed: BTreeMap<Oddity, u64>,
    /// Pickle streams that were looked through.
    pub pickles: u64,
    /// Files and members that were looked at.
    pub parts: u64,
    /// Checksums that were compared with the bytes they are of.
    pub checksums: u64,
    /// Bytes of tensor values that were not read: they can do nothing.
    pub data_bytes: u64,
}

/// A class or function that a pickle imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Module, such as `torch._utils`.
    pub module: String,
    /// Name inside it, dots included.
    pub name: String,
    /// How often the stream names it.
    pub count: u64,
    /// Where it does first, in bytes from the start of its place; `None` where it is no pickle that names it.
    pub offset: Option<u64>,
    /// The member or stream that names it; empty for the file itself.
    pub place: String,
}

/// A function or class that loading would call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadCall {
    /// What is called: `posix.system`, or an expression where it is computed.
    pub target: String,
    /// Position in [`Evidence::imports`] of what is called; `None` where it is computed.
    pub import: Option<usize>,
    /// The pickle opcode that asks for the first of these calls.
    pub opcode: &'static str,
    /// Arguments of the first few calls, shortened: `("touch x")`.
    pub arguments: Vec<String>,
    /// How often that target is called in that place.
    pub count: u64,
    /// Where the first opcode stands, in bytes from the start of the place.
    pub offset: u64,
    /// As for imports.
    pub place: String,
}

/// Something that is so in the file, with the place where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// What kind of thing.
    pub kind: Oddity,
    /// The member, object or stream; empty for the file itself.
    pub place: String,
    /// In bytes from the start of the file or of the place, where one is known.
    pub offset: Option<u64>,
    /// A sentence with the particulars, without a full stop.
    pub detail: String,
    /// What it is about by name: names in code, by which the code is judged; datasets and files elsewhere.
    pub names: Vec<String>,
}

/// Kinds of observations. [`Self::code`] is stable, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the doc of each would repeat its explanation in `analysis::safety`")]
pub enum Oddity {
    // Pickles
    BrokenPickle,
    SecondPickle,
    HiddenPickle,
    NestedPickle,
    UnseenPickle,
    ComputedName,
    ComputedCall,
    AttributeCall,
    AlteredGlobal,
    ExtensionCode,
    // Archives
    DataBefore,
    DataAfter,
    UnlistedMember,
    DuplicateMember,
    OverlappingMembers,
    ContradictoryHeaders,
    EscapingName,
    Bomb,
    Encrypted,
    ChecksumMismatch,
    NoChecksums,
    BrokenArchive,
    LinkMember,
    NestedTooDeep,
    Compressed,
    // Code that is no pickle
    MarshalledCode,
    LambdaLayer,
    CustomObject,
    TorchScript,
    ScriptFileAccess,
    CustomOperator,
    PythonSource,
    NativeCode,
    TemplateCode,
    // Graphs
    WritesFiles,
    ReadsFiles,
    PythonOperation,
    // What lies outside
    ExternalLink,
    VirtualDataset,
    ExternalStorage,
    UserBlock,
    OutsidePath,
    LinkOutside,
    // What could not be looked at
    Unreadable,
    Incomplete,
}

impl Oddity {
    /// Identifier for scripts: the variant's name in kebab case.
    pub fn code(self) -> &'static str {
        match self {
            Self::BrokenPickle => "broken-pickle",
            Self::SecondPickle => "second-pickle",
            Self::HiddenPickle => "hidden-pickle",
            Self::NestedPickle => "nested-pickle",
            Self::UnseenPickle => "unseen-pickle",
            Self::ComputedName => "computed-name",
            Self::ComputedCall => "computed-call",
            Self::AttributeCall => "attribute-call",
            Self::AlteredGlobal => "altered-global",
            Self::ExtensionCode => "extension-code",
            Self::DataBefore => "data-before",
            Self::DataAfter => "data-after",
            Self::UnlistedMember => "unlisted-member",
            Self::DuplicateMember => "duplicate-member",
            Self::OverlappingMembers => "overlapping-members",
            Self::ContradictoryHeaders => "contradictory-headers",
            Self::EscapingName => "escaping-name",
            Self::Bomb => "bomb",
            Self::Encrypted => "encrypted",
            Self::ChecksumMismatch => "checksum-mismatch",
            Self::NoChecksums => "no-checksums",
            Self::BrokenArchive => "broken-archive",
            Self::LinkMember => "link-member",
            Self::NestedTooDeep => "nested-too-deep",
            Self::Compressed => "compressed",
            Self::MarshalledCode => "marshalled-code",
            Self::LambdaLayer => "lambda-layer",
            Self::CustomObject => "custom-object",
            Self::TorchScript => "torchscript",
            Self::ScriptFileAccess => "script-file-access",
            Self::CustomOperator => "custom-operator",
            Self::PythonSource => "python-source",
            Self::NativeCode => "native-code",
            Self::TemplateCode => "template-code",
            Self::WritesFiles => "writes-files",
            Self::ReadsFiles => "reads-files",
            Self::PythonOperation => "python-operation",
            Self::ExternalLink => "external-link",
            Self::VirtualDataset => "virtual-dataset",
            Self::ExternalStorage => "external-storage",
            Self::UserBlock => "user-block",
            Self::OutsidePath => "outside-path",
            Self::LinkOutside => "link-outside",
            Self::Unreadable => "unreadable",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Evidence {
    /// Observations that are kept of one kind: a hostile archive can have millions.
    const OBSERVED: u64 = 200;

    /// Adds an observation; beyond a number of its kind it is left out.
    pub fn observe(&mut self, kind: Oddity, place: &str, offset: Option<u64>, detail: impl Into<String>) {
        let count = self.observed.entry(kind).or_default();
        *count += 1;
        if *count <= Self::OBSERVED {
            let detail = detail.into();
            let (place, names) = (place.to_owned(), Vec::new());
            self.observations.push(Observation { kind, place, offset, detail, names });
        }
    }
}
