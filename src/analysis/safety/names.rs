//! What a pickle can import, by name: classes with reasons.
//!
//! Only names that are listed here, or match a rule here, are called harmless; everything else is unknown. Modules are
//! matched by whole segments: `torch._utils_evil` is not `torch._utils`. A name with dots reaches through one object to
//! another (`torch.serialization` and `os.system`), so it is never taken for what its module is.

use super::Class;

/// What a name is, and why.
pub type Judged = (Class, &'static str);

/// The class of `module.name`.
pub fn classify(module: &str, name: &str) -> Judged {
    if let Some(reason) = dangerous(module, name) {
        return (Class::Dangerous, reason);
    }
    if name.contains('.') {
        return dotted(module, name);
    }
    if let Some(reason) = UNSURE.iter().find(|(known, names, _)| is_listed(known, names, module, name)) {
        return (Class::Unknown, reason.2);
    }
    if TENSORS.iter().any(|(known, names)| *known == module && names.contains(&name))
        || is_tensor(module, name)
    {
        return (Class::Tensor, "Makes a tensor, an array, or a part of one");
    }
    if module == "torch.storage" && name == "_load_from_bytes" {
        return (Class::Tensor, "Loads a tensor from bytes in the pickle, which are looked through as well");
    }
    if CONTAINERS.iter().any(|(known, names)| *known == module && names.contains(&name)) {
        return (Class::Container, "Makes a plain value or a container");
    }
    if matches!(module, "builtins" | "__builtin__") {
        return if BUILTINS.contains(&name) {
            (Class::Unknown, "A built-in function of Python whose use here is not known")
        } else {
            (Class::Container, "Python has no such built-in; Keras takes it for the name of one of its own")
        };
    }
    if is_framework(module, name) {
        return (Class::Framework, "A class of a known library");
    }
    if within(module, "__torch__") {
        return (
            Class::Framework,
            "A class of the TorchScript in this archive, which torch's own interpreter runs",
        );
    }
    let reason = match module {
        "__main__" | "__mp_main__" => "Defined in the program that saved the file",
        "<computed>" => "Which name it is depends on what runs while loading",
        _ => "Not a name that is known to be harmless; what it does depends on what is installed",
    };
    (Class::Unknown, reason)
}

/// Whether a name in compiled code or in a template is of something that acts outside of it.
pub fn is_suspicious(name: &str) -> bool {
    const NAMES: [&str; 44] = [
        "os",
        "posix",
        "nt",
        "subprocess",
        "system",
        "popen",
        "Popen",
        "exec",
        "eval",
        "execfile",
        "__import__",
        "compile",
        "socket",
        "urllib",
        "urlopen",
        "urlretrieve",
        "requests",
        "shutil",
        "rmtree",
        "ctypes",
        "CDLL",
        "builtins",
        "__builtins__",
        "importlib",
        "import_module",
        "pickle",
        "marshal",
        "pty",
        "spawn",
        "execv",
        "execve",
        "fork",
        "check_output",
        "check_call",
        "getoutput",
        "globals",
        "__globals__",
        "__subclasses__",
        "__getattribute__",
        "runpy",
        "webbrowser",
        "unlink",
        "base64",
        "open",
    ];
    NAMES.contains(&name)
        || ["os.", "subprocess.", "urllib.", "shutil."].iter().any(|root| name.starts_with(root))
}

/// Whether a module is that one or below it.
fn within(module: &str, outer: &str) -> bool {
    module.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn is_listed(known: &str, names: &[&str], module: &str, name: &str) -> bool {
    if names.is_empty() { within(module, known) } else { module == known && names.contains(&name) }
}

/// Why a name is known to be dangerous; `None` where it is not.
fn dangerous(module: &str, name: &str) -> Option<&'static str> {
    let first = name.split('.').next().unwrap_or(name);
    let found = DANGEROUS.iter().find(|(known, names, _)| {
        if names.is_empty() { within(module, known) } else { module == *known && names.contains(&first) }
    });
    let is_excepted = EXCEPTED.iter().any(|(known, names)| *known == module && names.contains(&name));
    if let Some((_, _, reason)) = found.filter(|_| !is_excepted) {
        return Some(reason);
    }
    // Whatever the module is called, this is no class of a library.
    if name.split('.').any(|part| REACHING.contains(&part)) {
        return Some("Reaches the interpreter or the system through another module");
    }
    // A method reached through its class.
    let method = name.rsplit_once('.').map(|(_, method)| method);
    method.is_some_and(|method| METHODS.contains(&method)).then_some(FILES_OR_CODE)
}

/// A name with dots: what it reaches at last may be listed by itself.
fn dotted(module: &str, name: &str) -> Judged {
    let mut rest = name;
    while let Some((owner, inner)) = rest.split_once('.') {
        if dangerous(owner, inner).is_some() {
            return (Class::Dangerous, "Reaches a dangerous function through another module");
        }
        rest = inner;
    }
    // A class inside a class, as enumerations and configurations of libraries have.
    let is_class = |part: &str| part.starts_with(|c: char| c.is_ascii_uppercase());
    if name.split('.').all(is_class) && is_framework(module, name.split('.').next().unwrap_or(name)) {
        return (Class::Framework, "A class of a known library");
    }
    (Class::Unknown, "Reaches through one object to another; what it is depends on what is installed")
}

/// Names that lead to the interpreter or the system from whatever module they are imported.
const REACHING: &[&str] = &[
    "os",
    "sys",
    "subprocess",
    "builtins",
    "__builtins__",
    "importlib",
    "shutil",
    "socket",
    "ctypes",
    "posix",
    "runpy",
    "pickle",
    "marshal",
    "pty",
    "__globals__",
    "__subclasses__",
    "__import__",
    "__loader__",
    "__code__",
    "__mro__",
    "__bases__",
    "__base__",
    "__class__",
    "__self__",
    "__getattribute__",
    "__dict__",
    "Popen",
    "CDLL",
    "check_output",
    "check_call",
];

/// Methods of classes that are harmless by themselves: they write or delete files, or run what they are given.
const METHODS: &[&str] = &[
    "chmod",
    "dump",
    "eval",
    "exec",
    "from_file",
    "from_pretrained",
    "hardlink_to",
    "link_to",
    "load",
    "load_config",
    "load_library",
    "loads",
    "mkdir",
    "open",
    "query",
    "read_pickle",
    "rename",
    "rmdir",
    "save",
    "save_pretrained",
    "symlink_to",
    "to_csv",
    "to_excel",
    "to_feather",
    "to_hdf",
    "to_html",
    "to_json",
    "to_parquet",
    "to_pickle",
    "to_sql",
    "to_xml",
    "tofile",
    "touch",
    "unlink",
    "write_bytes",
    "write_text",
];

const FILES_OR_CODE: &str = "Writes or deletes files, or runs what it is given, through a method of a class";
const COMMAND: &str = "Runs commands or programs";
const CODE: &str = "Runs Python code that is given to it, or makes code out of values";
const IMPORT: &str = "Imports or installs modules";
const NETWORK: &str = "Opens network connections or downloads";
const FILES: &str = "Opens, writes, moves or deletes files";
const LOADER: &str = "Loads another pickle or program, which can run anything";
const NATIVE: &str = "Calls native code by address or loads libraries";
const CALLS: &str = "Calls whatever it is given, or reads any attribute";
const PROCESS: &str = "Starts processes, threads or event loops";
const STATE: &str = "Changes the interpreter's own state";

/// Module, names (none: the module and everything below it), reason.
static DANGEROUS: &[(&str, &[&str], &str)] = &[
    ("os", &[], COMMAND),
    ("posix", &[], COMMAND),
    ("nt", &[], COMMAND),
    ("subprocess", &[], COMMAND),
    ("_posixsubprocess", &[], COMMAND),
    ("_winapi", &[], COMMAND),
    ("commands", &[], COMMAND),
    ("popen2", &[], COMMAND),
    ("pty", &[], COMMAND),
    ("pexpect", &[], COMMAND),
    ("sh", &[], COMMAND),
    ("plumbum", &[], COMMAND),
    ("fabric", &[], COMMAND),
    ("paramiko", &[], COMMAND),
    ("platform", &["popen", "_syscmd_ver", "_syscmd_file", "_syscmd_uname"], COMMAND),
    ("uuid", &["_popen", "_get_command_stdout", "_find_mac", "_ifconfig_getnode"], COMMAND),
    ("_osx_support", &[], COMMAND),
    ("_aix_support", &[], COMMAND),
    ("_pyrepl", &[], COMMAND),
    ("pydoc", &[], COMMAND),
    ("webbrowser", &[], COMMAND),
    ("antigravity", &[], COMMAND),
    ("idlelib", &[], COMMAND),
    ("turtledemo", &[], COMMAND),
    ("test", &[], COMMAND),
    ("ensurepip", &[], IMPORT),
    ("venv", &[], COMMAND),
    ("torch.utils.collect_env", &[], COMMAND),
    ("torch.utils.cpp_extension", &[], COMMAND),
    ("torch._inductor", &[], COMMAND),
    ("torch.utils.bottleneck", &[], CODE),
    ("torch._appdirs", &[], COMMAND),
    ("torch.distributed.run", &[], COMMAND),
    ("torch.distributed.launch", &[], COMMAND),
    ("torch.distributed.launcher", &[], COMMAND),
    ("torch.distributed.elastic", &[], COMMAND),
    ("torch.distributed.rpc", &[], PROCESS),
    ("torch.multiprocessing", &[], PROCESS),
    ("numpy.distutils", &[], COMMAND),
    ("numpy.f2py", &[], COMMAND),
    ("scipy.weave", &[], COMMAND),
    ("pip", &[], IMPORT),
    ("pip_internal", &[], IMPORT),
    ("setuptools", &[], IMPORT),
    ("distutils", &[], FILES),
    ("importlib", &[], IMPORT),
    ("imp", &[], IMPORT),
    ("pkgutil", &[], IMPORT),
    ("zipimport", &[], IMPORT),
    ("_frozen_importlib", &[], IMPORT),
    ("_frozen_importlib_external", &[], IMPORT),
    ("_imp", &[], IMPORT),
    ("site", &[], IMPORT),
    ("runpy", &[], CODE),
    ("code", &[], CODE),
    ("codeop", &[], CODE),
    ("pdb", &[], CODE),
    ("bdb", &[], CODE),
    ("timeit", &[], CODE),
    ("trace", &[], CODE),
    ("profile", &[], CODE),
    ("cProfile", &[], CODE),
    ("doctest", &[], CODE),
    ("unittest", &[], CODE),
    ("IPython", &[], CODE),
    ("lib2to3", &[], CODE),
    ("tkinter", &[], CODE),
    ("_tkinter", &[], CODE),
    ("_interpreters", &[], CODE),
    ("_xxsubinterpreters", &[], CODE),
    ("_testcapi", &[], CODE),
    ("rlcompleter", &[], CODE),
    ("symtable", &[], CODE),
    (
        "types",
        &["CodeType", "FunctionType", "LambdaType", "ModuleType", "new_class", "DynamicClassAttribute"],
        CODE,
    ),
    ("new", &[], CODE),
    ("builtins", &["eval", "exec", "execfile", "compile", "breakpoint"], CODE),
    ("__builtin__", &["eval", "exec", "execfile", "compile", "breakpoint"], CODE),
    ("builtins", &["__import__", "reload", "__build_class__"], IMPORT),
    ("__builtin__", &["__import__", "reload", "__build_class__"], IMPORT),
    ("builtins", &["open", "file", "input", "raw_input"], FILES),
    ("__builtin__", &["open", "file", "input", "raw_input"], FILES),
    ("builtins", &["apply", "map", "filter", "globals", "locals", "setattr", "delattr", "help"], CALLS),
    ("__builtin__", &["apply", "map", "filter", "globals", "locals", "setattr", "delattr", "help"], CALLS),
    ("operator", &["attrgetter", "methodcaller", "call"], CALLS),
    ("_operator", &["attrgetter", "methodcaller", "call"], CALLS),
    ("sympy", &[], CODE),
    ("numexpr", &[], CODE),
    ("jinja2", &[], CODE),
    ("mako", &[], CODE),
    ("pandas", &["eval", "read_pickle", "HDFStore", "ExcelWriter"], CODE),
    ("pandas.core.computation", &[], CODE),
    (
        "torch.fx.graph_module",
        &[
            "reduce_graph_module",
            "reduce_package_graph_module",
            "reduce_deploy_graph_module",
            "_exec_with_source",
            "_forward_from_src",
            "_method_from_src",
        ],
        CODE,
    ),
    ("torch.fx.experimental", &[], CODE),
    ("torch._dynamo", &[], CODE),
    ("torch.jit.unsupported_tensor_ops", &[], CODE),
    ("torch.testing", &[], CODE),
    ("torch.utils._config_module", &[], LOADER),
    ("torch.utils.data.datapipes", &[], LOADER),
    ("numpy.testing", &[], CODE),
    ("dill", &[], CODE),
    ("cloudpickle", &[], CODE),
    ("joblib.externals", &[], CODE),
    ("ray.cloudpickle", &[], CODE),
    ("socket", &[], NETWORK),
    ("_socket", &[], NETWORK),
    ("ssl", &[], NETWORK),
    ("socketserver", &[], NETWORK),
    ("SocketServer", &[], NETWORK),
    ("http", &[], NETWORK),
    ("httplib", &[], NETWORK),
    ("urllib", &[], NETWORK),
    ("urllib2", &[], NETWORK),
    ("urllib3", &[], NETWORK),
    ("requests", &[], NETWORK),
    ("httpx", &[], NETWORK),
    ("aiohttp", &[], NETWORK),
    ("ftplib", &[], NETWORK),
    ("smtplib", &[], NETWORK),
    ("poplib", &[], NETWORK),
    ("imaplib", &[], NETWORK),
    ("nntplib", &[], NETWORK),
    ("telnetlib", &[], NETWORK),
    ("xmlrpc", &[], NETWORK),
    ("xmlrpclib", &[], NETWORK),
    ("wsgiref", &[], NETWORK),
    ("BaseHTTPServer", &[], NETWORK),
    ("torch.hub", &[], NETWORK),
    ("torch.utils.model_zoo", &[], NETWORK),
    ("huggingface_hub", &[], NETWORK),
    ("keras.utils", &["get_file"], NETWORK),
    ("keras.src.utils.file_utils", &[], NETWORK),
    ("sklearn.datasets", &[], NETWORK),
    ("shutil", &[], FILES),
    ("tempfile", &[], FILES),
    ("fileinput", &[], FILES),
    ("mmap", &[], FILES),
    ("sqlite3", &[], FILES),
    ("dbm", &[], FILES),
    ("zipfile", &[], FILES),
    ("tarfile", &[], FILES),
    ("io", &["open", "open_code", "FileIO"], FILES),
    ("_io", &["open", "open_code", "FileIO"], FILES),
    ("codecs", &["open"], FILES),
    ("gzip", &["open", "GzipFile"], FILES),
    ("bz2", &["open", "BZ2File"], FILES),
    ("lzma", &["open", "LZMAFile"], FILES),
    ("logging", &["FileHandler", "basicConfig"], FILES),
    ("logging.handlers", &[], FILES),
    ("logging.config", &[], NETWORK),
    ("cgi", &[], FILES),
    (
        "numpy",
        &["load", "save", "savez", "savetxt", "loadtxt", "fromfile", "genfromtxt", "memmap", "DataSource"],
        LOADER,
    ),
    ("numpy.lib.npyio", &[], LOADER),
    ("numpy.lib._npyio_impl", &[], LOADER),
    ("numpy.lib.format", &[], LOADER),
    ("numpy.lib._datasource", &[], FILES),
    ("numpy.core.memmap", &[], FILES),
    ("numpy._core.memmap", &[], FILES),
    ("scipy.io", &["FortranFile", "netcdf_file", "savemat", "mmwrite"], FILES),
    ("scipy.io._fortran", &[], FILES),
    ("scipy.io._netcdf", &[], FILES),
    ("scipy", &["LowLevelCallable"], NATIVE),
    ("scipy._lib._ccallback", &[], NATIVE),
    ("sklearn.utils._testing", &[], FILES),
    ("numpy.ctypeslib", &[], NATIVE),
    ("torch", &["load", "save", "from_file", "compile", "import_ir_module"], LOADER),
    ("torch.serialization", &["load", "save", "_load", "_legacy_load"], LOADER),
    ("torch.jit", &["load", "save", "_script", "_serialization"], LOADER),
    ("torch.jit._serialization", &[], LOADER),
    ("torch.package", &[], LOADER),
    ("torch.export", &["load", "save"], LOADER),
    ("torch._C", &["import_ir_module", "import_ir_module_from_buffer", "PyTorchFileWriter"], LOADER),
    ("torch.cuda", &["_compile_kernel"], NATIVE),
    ("torch.ops", &[], NATIVE),
    ("torch._ops", &[], NATIVE),
    ("torch.classes", &[], NATIVE),
    ("pickle", &[], LOADER),
    ("_pickle", &[], LOADER),
    ("cPickle", &[], LOADER),
    ("pickle5", &[], LOADER),
    ("marshal", &[], LOADER),
    ("shelve", &[], LOADER),
    ("jsonpickle", &[], LOADER),
    ("yaml", &[], LOADER),
    ("ruamel", &[], LOADER),
    ("joblib", &["load", "dump", "Parallel", "Memory"], LOADER),
    (
        "joblib.numpy_pickle",
        &["load", "dump", "NumpyUnpickler", "_unpickle", "load_temporary_memmap"],
        LOADER,
    ),
    ("joblib.parallel", &[], PROCESS),
    ("joblib.memory", &[], LOADER),
    ("joblib._parallel_backends", &[], PROCESS),
    ("pandas.io", &[], LOADER),
    ("keras.models", &["load_model"], LOADER),
    ("keras.saving", &["load_model"], LOADER),
    ("keras.src.saving", &[], LOADER),
    ("keras.layers", &["TorchModuleWrapper"], LOADER),
    ("keras.src.utils.torch_utils", &[], LOADER),
    ("keras.config", &["enable_unsafe_deserialization"], STATE),
    ("keras.src.config", &["enable_unsafe_deserialization"], STATE),
    ("tensorflow.keras.models", &["load_model"], LOADER),
    ("tensorflow.python.ops.io_ops", &[], FILES),
    ("tensorflow.python.lib.io", &[], FILES),
    ("tensorflow.python.framework.load_library", &[], NATIVE),
    ("tensorflow.io", &[], FILES),
    ("transformers.tools", &[], CODE),
    ("transformers.agents", &[], CODE),
    ("transformers.dynamic_module_utils", &[], CODE),
    // Their constructors unpickle what they are given the path of (CVE-2023-6730, CVE-2023-7018).
    ("transformers.models.rag", &[], LOADER),
    (
        "transformers.models.transfo_xl",
        &["TransfoXLTokenizer", "TransfoXLCorpus", "LMOrderedIterator"],
        LOADER,
    ),
    ("transformers.models.transfo_xl.tokenization_transfo_xl", &[], LOADER),
    ("transformers.models.deprecated.transfo_xl.tokenization_transfo_xl", &[], LOADER),
    ("lightning.pytorch.cli", &[], CODE),
    ("pytorch_lightning.cli", &[], CODE),
    ("pytorch_lightning.utilities.cli", &[], CODE),
    ("lightning.app", &[], PROCESS),
    ("lightning_app", &[], PROCESS),
    ("accelerate.commands", &[], COMMAND),
    ("accelerate.launchers", &[], PROCESS),
    ("xgboost.tracker", &[], NETWORK),
    ("xgboost.dask", &[], NETWORK),
    ("pandas", &["ExcelFile"], NETWORK),
    ("ctypes", &[], NATIVE),
    ("_ctypes", &[], NATIVE),
    ("cffi", &[], NATIVE),
    ("_cffi_backend", &[], NATIVE),
    ("asyncio", &[], PROCESS),
    ("_asyncio", &[], PROCESS),
    ("multiprocessing", &[], PROCESS),
    ("concurrent", &[], PROCESS),
    ("threading", &[], PROCESS),
    ("_thread", &[], PROCESS),
    ("thread", &[], PROCESS),
    ("signal", &[], PROCESS),
    ("sched", &[], PROCESS),
    ("sys", &[], STATE),
    ("gc", &[], STATE),
    ("atexit", &[], STATE),
    ("faulthandler", &[], STATE),
    ("readline", &[], STATE),
    ("winreg", &[], STATE),
    ("_winreg", &[], STATE),
    ("msvcrt", &[], STATE),
    ("fcntl", &[], STATE),
    ("resource", &[], STATE),
];

/// Names of the modules above that do nothing of the kind.
static EXCEPTED: &[(&str, &[&str])] = &[
    ("os.path", &["join", "basename", "dirname", "split", "splitext", "normpath"]),
    ("_io", &["BytesIO", "StringIO"]),
    ("multiprocessing.context", &["TimeoutError"]),
    ("torch._dynamo.config_utils", &["ConfigModule"]),
    ("http.cookiejar", &["Cookie"]),
    ("urllib.parse", &["ParseResult", "SplitResult"]),
    ("signal", &["Signals"]),
];

const LOADS_MODEL: &str = "Loads another model from a path";
const BUILDS: &str = "Makes whatever class or function its argument names";

/// Known names that cannot be judged by themselves: module, names (none: the whole module), reason.
static UNSURE: &[(&str, &[&str], &str)] = &[
    ("builtins", &["getattr"], "Reads any attribute; what it reads here is listed with it"),
    ("__builtin__", &["getattr"], "Reads any attribute; what it reads here is listed with it"),
    (
        "functools",
        &["partial", "reduce", "partialmethod"],
        "Calls the function that it is given, which is listed with it",
    ),
    ("numpy.core", &["_ufunc_reconstruct"], "Imports a module by name"),
    ("numpy._core", &["_ufunc_reconstruct"], "Imports a module by name"),
    ("keras.layers", &["TFSMLayer"], LOADS_MODEL),
    ("keras.export", &["TFSMLayer"], LOADS_MODEL),
    ("keras.src.export", &[], LOADS_MODEL),
    ("keras.activations", &["deserialize", "get"], BUILDS),
    ("keras.losses", &["deserialize", "get"], BUILDS),
    ("keras.metrics", &["deserialize", "get"], BUILDS),
    ("keras.initializers", &["deserialize", "get"], BUILDS),
    ("keras.regularizers", &["deserialize", "get"], BUILDS),
    ("keras.src.activations", &["deserialize", "get"], BUILDS),
    ("keras.src.losses", &["deserialize", "get"], BUILDS),
    ("keras.src.metrics", &["deserialize", "get"], BUILDS),
    ("keras.src.initializers", &["deserialize", "get"], BUILDS),
    ("keras.src.regularizers", &["deserialize", "get"], BUILDS),
    ("torchvision.datasets", &[], "Can download files when it is made"),
    ("torchaudio.datasets", &[], "Can download files when it is made"),
    ("pytorch_lightning.loggers", &[], "Can write files and open connections when it is made"),
    ("lightning.pytorch.loggers", &[], "Can write files and open connections when it is made"),
    ("transformers.pipelines", &[], "Loads models and their code"),
    ("transformers.utils", &[], "Loads files of models"),
];

/// Module and names that make tensors, arrays and their parts.
static TENSORS: &[(&str, &[&str])] = &[
    (
        "torch._utils",
        &[
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
            "_rebuild_tensor_v3",
            "_rebuild_parameter",
            "_rebuild_parameter_with_state",
            "_rebuild_qtensor",
            "_rebuild_sparse_tensor",
            "_rebuild_sparse_csr_tensor",
            "_rebuild_nested_tensor",
            "_rebuild_device_tensor_from_numpy",
            "_rebuild_device_tensor_from_cpu_tensor",
            "_rebuild_xla_tensor",
            "_rebuild_meta_tensor_no_storage",
            "_rebuild_wrapper_subclass",
        ],
    ),
    ("torch._tensor", &["_rebuild_from_type_v2", "_rebuild_from_type"]),
    ("torch.tensor", &["_rebuild_from_type", "_rebuild_from_type_v2"]),
    (
        "torch",
        &[
            "Size",
            "device",
            "dtype",
            "Tensor",
            "Generator",
            "layout",
            "strided",
            "sparse_coo",
            "sparse_csr",
            "contiguous_format",
            "preserve_format",
            "channels_last",
            "per_tensor_affine",
            "per_tensor_symmetric",
            "per_channel_affine",
            "per_channel_symmetric",
            "per_channel_affine_float_qparams",
            "memory_format",
        ],
    ),
    ("torch.storage", &["UntypedStorage", "TypedStorage", "_UntypedStorage", "_TypedStorage"]),
    ("torch.serialization", &["_get_layout", "_maybe_decode_ascii"]),
    ("torch._C", &["device", "dtype", "Size", "layout"]),
    ("torch.nn.parameter", &["Parameter", "Buffer", "UninitializedParameter", "UninitializedBuffer"]),
    ("torch.autograd.variable", &["Variable"]),
    ("torch.autograd", &["Variable"]),
    (
        "torch.jit._pickle",
        &[
            "build_intlist",
            "build_tensorlist",
            "build_doublelist",
            "build_boollist",
            "build_tensor_from_id",
            "restore_type_tag",
        ],
    ),
    (
        "numpy",
        &[
            "dtype",
            "ndarray",
            "matrix",
            "recarray",
            "bool_",
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "uint16",
            "uint32",
            "uint64",
            "float16",
            "float32",
            "float64",
            "longdouble",
            "float128",
            "complex64",
            "complex128",
            "str_",
            "bytes_",
            "void",
            "object_",
            "intc",
            "datetime64",
            "timedelta64",
        ],
    ),
    ("numpy.core.multiarray", &["_reconstruct", "scalar"]),
    ("numpy._core.multiarray", &["_reconstruct", "scalar"]),
    ("numpy.core.numeric", &["_frombuffer"]),
    ("numpy._core.numeric", &["_frombuffer"]),
    ("numpy.core.records", &["recarray"]),
    ("numpy.ma.core", &["_mareconstruct", "MaskedArray", "MaskedConstant"]),
    ("numpy.matrixlib.defmatrix", &["matrix"]),
    ("numpy.random", &["__RandomState_ctor"]),
    ("numpy.random._pickle", &["__randomstate_ctor", "__generator_ctor", "__bit_generator_ctor"]),
    ("numpy.random.mtrand", &["RandomState"]),
    ("numpy.random._mt19937", &["MT19937"]),
    ("numpy.random._pcg64", &["PCG64", "PCG64DXSM"]),
    ("numpy.random._philox", &["Philox"]),
    ("numpy.random._sfc64", &["SFC64"]),
    ("numpy.random._generator", &["Generator"]),
    ("numpy.random.bit_generator", &["SeedSequence", "__pyx_unpickle_SeedSequence"]),
    ("joblib.numpy_pickle", &["NumpyArrayWrapper", "NDArrayWrapper", "ZNDArrayWrapper"]),
    ("sklearn.externals.joblib.numpy_pickle", &["NumpyArrayWrapper", "NDArrayWrapper", "ZNDArrayWrapper"]),
    ("jax._src.array", &["_reconstruct_array"]),
];

/// Storages, types and dtypes by the pattern of their names.
fn is_tensor(module: &str, name: &str) -> bool {
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match module {
        "torch" | "torch.cuda" | "torch.sparse" | "torch.cuda.sparse" => {
            is_word
                && (name.ends_with("Storage")
                    || name.ends_with("Tensor") && name.starts_with(|c: char| c.is_ascii_uppercase())
                    || is_dtype(name))
        }
        "numpy.dtypes" | "numpy.core.dtypes" => is_word && name.ends_with("DType"),
        "ml_dtypes" => {
            is_word
                && (name.starts_with("float")
                    || name.starts_with("bfloat")
                    || name.starts_with("int")
                    || name.starts_with("uint"))
        }
        _ => false,
    }
}

fn is_dtype(name: &str) -> bool {
    const DTYPES: [&str; 10] =
        ["bool", "half", "double", "float", "long", "short", "bfloat16", "cfloat", "cdouble", "chalf"];
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    DTYPES.contains(&name)
        || name.starts_with("float8_")
        || name.starts_with("float4_")
        || matches!(stem, "int" | "uint" | "float" | "complex" | "qint" | "quint" | "bits")
        || name.starts_with("quint")
        || name.starts_with("bits")
        || name == "bcomplex32"
}

/// Of Python's own names: what holds values, in Python 3 and in Python 2.
const PLAIN_BUILTINS: &[&str] = &[
    "set",
    "frozenset",
    "list",
    "dict",
    "tuple",
    "int",
    "float",
    "complex",
    "bool",
    "str",
    "bytes",
    "bytearray",
    "object",
    "slice",
    "range",
    "NotImplemented",
    "Ellipsis",
    "long",
    "unicode",
    "xrange",
    "type",
];

/// Plain values and containers.
static CONTAINERS: &[(&str, &[&str])] = &[
    ("builtins", PLAIN_BUILTINS),
    ("__builtin__", PLAIN_BUILTINS),
    ("collections", &["OrderedDict", "defaultdict", "Counter", "deque", "ChainMap", "UserDict", "UserList"]),
    ("UserDict", &["UserDict"]),
    ("copyreg", &["_reconstructor", "__newobj__", "__newobj_ex__"]),
    ("copy_reg", &["_reconstructor", "__newobj__", "__newobj_ex__"]),
    ("_codecs", &["encode"]),
    ("_struct", &["Struct"]),
    ("array", &["array", "_array_reconstructor"]),
    ("datetime", &["datetime", "date", "time", "timedelta", "timezone"]),
    ("decimal", &["Decimal"]),
    ("fractions", &["Fraction"]),
    ("uuid", &["UUID", "SafeUUID"]),
    ("ipaddress", &["IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network"]),
    ("pathlib", &["Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath"]),
    ("pathlib._local", &["Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath"]),
    ("argparse", &["Namespace"]),
    ("types", &["SimpleNamespace", "MappingProxyType", "NoneType", "GenericAlias"]),
    (
        "typing",
        &[
            "Any",
            "Union",
            "Optional",
            "List",
            "Dict",
            "Tuple",
            "Set",
            "Callable",
            "Sequence",
            "Mapping",
            "Iterable",
            "Literal",
            "Generic",
            "OrderedDict",
            "DefaultDict",
            "Type",
        ],
    ),
    (
        "collections.abc",
        &["Callable", "Sequence", "Mapping", "Iterable", "MutableMapping", "MutableSequence"],
    ),
    ("operator", &["itemgetter", "add", "sub", "mul", "truediv", "neg"]),
    ("_operator", &["itemgetter", "add", "sub", "mul", "truediv", "neg"]),
    ("re", &["_compile", "compile", "RegexFlag"]),
    ("sre_compile", &["_compile"]),
    ("random", &["Random"]),
    ("zoneinfo", &["ZoneInfo"]),
    ("_io", &["BytesIO", "StringIO"]),
    ("io", &["BytesIO", "StringIO"]),
    ("math", &["sqrt", "exp", "log", "sin", "cos", "tanh", "floor", "ceil"]),
    ("enum", &["Enum", "IntEnum", "Flag", "IntFlag"]),
    ("easydict", &["EasyDict"]),
    ("torch.utils.hooks", &["BackwardHook", "RemovableHandle"]),
];

/// Libraries whose classes do nothing outside of themselves when they are made: classes only, by their capital letter.
const LIBRARIES: &[&str] = &[
    "torch.nn",
    "torch.optim",
    "torch.ao",
    "torch.quantization",
    "torch.distributions",
    "torch.distributed.checkpoint",
    "torch.distributed.tensor",
    "torch.distributed._tensor",
    "torch.distributed._shard",
    "torch.distributed.fsdp",
    "torch.amp",
    "torch.cuda.amp",
    "torch.sparse",
    "torch.jit._script",
    "torch.fx.immutable_collections",
    "torch.fx.node",
    "torch.utils.data.dataset",
    "torch.utils.data.sampler",
    "torch.return_types",
    "torchvision.models",
    "torchvision.ops",
    "torchvision.transforms",
    "torchaudio.models",
    "torchaudio.transforms",
    "torchmetrics",
    "torchao",
    "timm.models",
    "timm.layers",
    "sklearn",
    "scipy",
    "pandas.core",
    "pandas._libs",
    "pandas",
    "xgboost",
    "lightgbm",
    "catboost",
    "statsmodels",
    "omegaconf",
    "transformers.training_args",
    "transformers.trainer_utils",
    "transformers.trainer_pt_utils",
    "transformers.trainer_callback",
    "transformers.models",
    "transformers.activations",
    "transformers.pytorch_utils",
    "transformers.configuration_utils",
    "transformers.tokenization_utils_base",
    "transformers.generation",
    "accelerate",
    "peft",
    "pytorch_lightning",
    "lightning",
    "lightning_fabric",
    "keras.layers",
    "keras.models",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.optimizers",
    "keras.losses",
    "keras.metrics",
    "keras.engine",
    "keras.src.layers",
    "keras.src.models",
    "keras.src.initializers",
    "keras.src.regularizers",
    "keras.src.constraints",
    "keras.src.optimizers",
    "keras.src.losses",
    "keras.src.metrics",
    "keras.src.engine",
    "keras.src.dtype_policies",
    "keras.dtype_policies",
    "keras.src.quantizers",
    "keras.quantizers",
    "keras.callbacks",
    "keras.src.callbacks",
    "keras.random",
    "keras.src.random",
    "keras",
    "keras.mixed_precision",
    "keras_nlp.layers",
    "keras_nlp.models",
    "keras_hub.layers",
    "keras_hub.models",
    "keras_cv.layers",
    "keras_cv.models",
    "tensorflow.keras.layers",
    "tensorflow.keras.optimizers",
    "tensorflow.python.framework",
    "tensorflow.python.trackable",
    "tensorflow.python.training.tracking",
    "tensorflow.python.keras.layers",
    "tensorflow.python.keras.callbacks",
    "tf_keras.layers",
    "tf_keras.src.layers",
    "tf_keras.src.optimizers",
    "tf_keras.src.engine",
    "tf_keras.optimizers",
    "numpy.polynomial",
    "numpy.exceptions",
    "gensim.models",
    "spacy",
];

/// Functions of libraries that only compute, by the module that has nothing else.
const FUNCTIONS: &[&str] = &[
    "keras.activations",
    "keras.losses",
    "keras.metrics",
    "keras.ops",
    "keras.src.activations",
    "keras.src.losses",
    "keras.src.metrics",
    "keras.src.ops",
    "keras.initializers",
    "keras.src.initializers",
    "keras.regularizers",
    "tf_keras.src.activations",
    "tf_keras.activations",
    "tensorflow.keras.activations",
];

/// Functions of libraries that pickles name.
static LIBRARY_NAMES: &[(&str, &[&str])] = &[
    (
        "torch.nn.functional",
        &[
            "relu",
            "relu6",
            "gelu",
            "silu",
            "elu",
            "selu",
            "celu",
            "leaky_relu",
            "glu",
            "mish",
            "softplus",
            "softmax",
            "log_softmax",
            "logsigmoid",
            "sigmoid",
            "tanh",
            "hardtanh",
            "hardswish",
            "softsign",
            "softmin",
            "cross_entropy",
            "mse_loss",
            "l1_loss",
            "nll_loss",
            "interpolate",
            "pad",
            "dropout",
            "normalize",
        ],
    ),
    (
        "torch",
        &[
            "relu", "relu_", "sigmoid", "tanh", "softmax", "add", "mul", "cat", "matmul", "exp", "sqrt",
            "mean", "sum",
        ],
    ),
    ("torch._C._nn", &["gelu", "silu", "elu_", "leaky_relu", "hardtanh", "softplus", "log_sigmoid"]),
    ("torch.optim.lr_scheduler", &["LambdaLR"]),
    ("pandas._libs.internals", &["_unpickle_block"]),
    ("pandas.core.indexes.base", &["_new_Index"]),
    ("pandas.core.indexes.datetimes", &["_new_DatetimeIndex"]),
    ("pandas._libs.tslibs.timestamps", &["_unpickle_timestamp"]),
    ("pandas._libs.missing", &["NA"]),
    ("scipy.sparse.csr", &["csr_matrix"]),
    ("scipy.sparse._csr", &["csr_matrix", "csr_array"]),
    ("scipy.sparse.csc", &["csc_matrix"]),
    ("scipy.sparse._csc", &["csc_matrix", "csc_array"]),
    ("scipy.sparse.coo", &["coo_matrix"]),
    ("scipy.sparse._coo", &["coo_matrix", "coo_array"]),
    ("scipy.sparse._lil", &["lil_matrix"]),
    ("scipy.sparse._dok", &["dok_matrix"]),
    ("scipy.interpolate._interpolate", &["interp1d"]),
    ("scipy.interpolate.interpolate", &["interp1d"]),
    ("torch.distributed.tensor.placement_types", &["_StridedShard"]),
];

fn is_framework(module: &str, name: &str) -> bool {
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_class = name.trim_start_matches('_').starts_with(|c: char| c.is_ascii_uppercase());
    is_word
        && (is_class && LIBRARIES.iter().any(|library| within(module, library))
            || FUNCTIONS.iter().any(|library| within(module, library))
            || LIBRARY_NAMES.iter().any(|(known, names)| *known == module && names.contains(&name))
            // What Cython writes for its own classes: it makes an empty object and sets its fields.
            || name.starts_with("__pyx_unpickle_") && ["sklearn", "scipy", "pandas"].iter().any(|library| within(module, library))
            || name == "newObj" && within(module, "sklearn"))
}

/// Built-in functions and classes of Python 2 and 3 that are in no list above.
static BUILTINS: &[&str] = &[
    "abs",
    "aiter",
    "all",
    "anext",
    "any",
    "ascii",
    "basestring",
    "bin",
    "buffer",
    "callable",
    "chr",
    "classmethod",
    "cmp",
    "coerce",
    "dir",
    "divmod",
    "enumerate",
    "exit",
    "quit",
    "copyright",
    "credits",
    "license",
    "format",
    "getattr",
    "hasattr",
    "hash",
    "hex",
    "id",
    "intern",
    "isinstance",
    "issubclass",
    "iter",
    "len",
    "max",
    "memoryview",
    "min",
    "next",
    "oct",
    "ord",
    "pow",
    "print",
    "property",
    "reduce",
    "repr",
    "reversed",
    "round",
    "sorted",
    "staticmethod",
    "sum",
    "super",
    "unichr",
    "vars",
    "zip",
    "eval",
    "exec",
    "compile",
    "open",
    "input",
];
