//! What each kind of observation means: how much it matters, a title, and an explanation in plain words.

use super::Verdict;
use crate::model::{Oddity, Severity};

/// What an observation means.
pub struct Rule {
    /// How much it matters.
    pub level: Severity,
    /// The least that the verdict is because of it.
    pub verdict: Verdict,
    /// A few words.
    pub title: &'static str,
    /// What it is and why it matters.
    pub explanation: &'static str,
}

/// The meaning of a kind. `names`: those in the code that an observation is about.
pub fn rule(kind: Oddity, names: &[String]) -> Rule {
    use Severity::{Error, Info, Warning};
    use Verdict::{Clean, Damaged, Dangerous, UnknownCode};
    let suspicious = names.iter().any(|name| super::names::is_suspicious(name));
    let (level, verdict, title, explanation) = match kind {
        Oddity::BrokenPickle => (
            Error,
            Damaged,
            "Broken pickle",
            "The stream cannot be carried out to its end. A loader stops there, after it has done everything before; what stands behind was looked through opcode by opcode.",
        ),
        Oddity::SecondPickle => (
            Info,
            Clean,
            "More than one pickle",
            "Loaders read one pickle and leave the rest; a program that reads on loads the others. All of them were looked through.",
        ),
        Oddity::HiddenPickle => (
            Warning,
            UnknownCode,
            "Hidden pickle",
            "A pickle stands where none belongs: as the data of a tensor, or in bytes that nothing refers to. No framework writes files so.",
        ),
        Oddity::NestedPickle => (
            Info,
            Clean,
            "Pickle inside the pickle",
            "PyTorch stores tensors so when they are pickled by themselves. Loading the outer pickle loads the inner one; it was looked through.",
        ),
        Oddity::UnseenPickle => (
            Error,
            Dangerous,
            "Pickle that cannot be seen",
            "Bytes are computed while loading and then loaded as a pickle, so nothing can be known about it before.",
        ),
        Oddity::ComputedName => (
            Error,
            Dangerous,
            "Computed import",
            "The name of what is imported is put together while loading. No framework does that; it hides the name from scanners.",
        ),
        Oddity::ComputedCall => (
            Warning,
            UnknownCode,
            "Call of a computed function",
            "What is called is the result of another call, so its name is not written down.",
        ),
        Oddity::AttributeCall => (
            Error,
            Dangerous,
            "Call of an attribute",
            "An attribute is read and then called: in this way any function of any object can be reached.",
        ),
        Oddity::AlteredGlobal => (
            Error,
            Dangerous,
            "Altered class",
            "Attributes are set on a class or module itself, which changes the running program for everything else.",
        ),
        Oddity::ExtensionCode => (
            Warning,
            UnknownCode,
            "Extension code",
            "An import is named by a number, whose meaning only the loading program knows.",
        ),
        Oddity::DataBefore => (
            Warning,
            UnknownCode,
            "Data before the archive",
            "Programs that read from the start see something else than programs that search the archive from its end.",
        ),
        Oddity::DataAfter => (
            Info,
            Clean,
            "Data after the end",
            "Loaders do not read these bytes. They were searched for pickles.",
        ),
        Oddity::UnlistedMember => (
            Warning,
            UnknownCode,
            "Member that is not listed",
            "The directory of the archive does not name it, but programs that read from the start would find it.",
        ),
        Oddity::DuplicateMember => (
            Warning,
            UnknownCode,
            "Two members of one name",
            "Which of them is loaded depends on the program, so a scanner can be shown another than the loader takes. All were looked through.",
        ),
        Oddity::OverlappingMembers => (
            Warning,
            Damaged,
            "Members share bytes",
            "A sign of a zip bomb, or of an archive made to be read in two ways.",
        ),
        Oddity::ContradictoryHeaders => (
            Warning,
            Damaged,
            "Contradictory headers",
            "The directory and the member's own header do not agree, so programs read different things from the same file.",
        ),
        Oddity::EscapingName => (
            Warning,
            UnknownCode,
            "Name that leads outside",
            "A program that unpacks the archive by its names would write outside of the folder.",
        ),
        Oddity::Bomb => (
            Warning,
            UnknownCode,
            "Inflates enormously",
            "A few bytes become very many: made to fill memory or disk.",
        ),
        Oddity::Encrypted => (
            Warning,
            UnknownCode,
            "Marked as encrypted",
            "Some scanners skip such members while loaders ignore the mark. The bytes were looked through as they are.",
        ),
        Oddity::ChecksumMismatch => (
            Error,
            Damaged,
            "Wrong checksum",
            "The bytes are not those that were written. PyTorch does not check, so it would load them.",
        ),
        Oddity::NoChecksums => (
            Info,
            Clean,
            "No checksums",
            "PyTorch was told to leave checksums out, so damage cannot be seen.",
        ),
        Oddity::BrokenArchive => {
            (Error, Damaged, "Damaged archive", "The structure of the archive is broken or cut off.")
        }
        Oddity::LinkMember => (
            Warning,
            UnknownCode,
            "Symbolic link",
            "A program that unpacks the archive would follow it to a place of the archive's choice.",
        ),
        Oddity::NestedTooDeep => (Warning, UnknownCode, "Nested too deep", "It was not looked into."),
        Oddity::Compressed => (
            Warning,
            UnknownCode,
            "Compressed",
            "It is compressed in a way that is not unpacked here, so what is inside was not looked into.",
        ),
        Oddity::MarshalledCode if suspicious => (
            Error,
            Dangerous,
            "Compiled Python code",
            "The file carries compiled Python code, which Keras runs when the model is loaded or used, and the code names functions that act on the system.",
        ),
        Oddity::MarshalledCode => (
            Warning,
            UnknownCode,
            "Compiled Python code",
            "The file carries compiled Python code, which Keras runs when the model is loaded or used. It was not run or unmarshalled here; names in it are shown.",
        ),
        Oddity::LambdaLayer => (
            Info,
            Clean,
            "Lambda layer",
            "A layer that calls a function. Where the function is carried as code, or imported by name, that is listed by itself.",
        ),
        Oddity::CustomObject => (
            Info,
            Clean,
            "Custom class",
            "A class that is not of Keras. The loading program must have registered it; the file does not carry it.",
        ),
        Oddity::TorchScript => {
            (Info, Clean, "TorchScript", "Code that torch's own interpreter runs, with no way into Python.")
        }
        Oddity::ScriptFileAccess => (
            Error,
            Dangerous,
            "TorchScript that opens files",
            "Operators of TorchScript that read or write files, or call Python. A model has no use for them.",
        ),
        Oddity::CustomOperator => (
            Warning,
            UnknownCode,
            "TorchScript that needs other libraries",
            "It calls operators that do not come with PyTorch. The loading program must have loaded a library of native code that has them; the file does not carry it.",
        ),
        Oddity::PythonSource => (
            Warning,
            UnknownCode,
            "Python source",
            "The file brings Python code of its own, which runs when it is loaded as intended.",
        ),
        Oddity::NativeCode => (
            Warning,
            UnknownCode,
            "Compiled code",
            "Machine code beside or inside the model. What it does cannot be told here.",
        ),
        Oddity::TemplateCode => (
            Error,
            Dangerous,
            "Template that breaks out",
            "A chat template names what leads from a value to the interpreter. Programs that render it without a sandbox run it.",
        ),
        Oddity::WritesFiles => (
            Error,
            Dangerous,
            "Graph that writes files",
            "An operation of the graph writes to the disk of whoever runs the model.",
        ),
        Oddity::ReadsFiles => (
            Warning,
            UnknownCode,
            "Graph that reads files",
            "An operation of the graph reads files of whoever runs the model.",
        ),
        Oddity::PythonOperation => (
            Warning,
            UnknownCode,
            "Graph that calls Python",
            "An operation of the graph calls a Python function that the loading program registered.",
        ),
        Oddity::ExternalLink => (
            Warning,
            UnknownCode,
            "Link to another file",
            "A program that follows it opens a file of this file's choice and may show or send what is in it. It was not followed here.",
        ),
        Oddity::VirtualDataset => (
            Warning,
            UnknownCode,
            "Virtual dataset",
            "Its values are taken from other files, which were not opened.",
        ),
        Oddity::ExternalStorage => (
            Warning,
            UnknownCode,
            "Values in another file",
            "A program that reads it opens a file of this file's choice. It was not opened here.",
        ),
        Oddity::UserBlock => (
            Info,
            Clean,
            "Bytes before the HDF5 file",
            "HDF5 allows anything there. It was searched for pickles.",
        ),
        Oddity::OutsidePath => (
            Warning,
            UnknownCode,
            "Path that leads outside",
            "The file names another one outside of its own folder. It was not opened here.",
        ),
        Oddity::LinkOutside => (
            Info,
            Clean,
            "Link out of the folder",
            "As the caches of model hubs have it. Files were looked at, folders elsewhere were not.",
        ),
        Oddity::Unreadable => {
            (Error, Damaged, "Cannot be read", "The file is cut off, damaged, or not what it claims to be.")
        }
        Oddity::Incomplete => (
            Warning,
            UnknownCode,
            "Not looked at in full",
            "A limit that protects this program was reached; what is beyond was not looked at.",
        ),
    };
    Rule { level, verdict, title, explanation }
}
