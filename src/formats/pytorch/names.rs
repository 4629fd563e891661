//! What the names that PyTorch's pickles import stand for.
//!
//! Between the pickle graph and [`super::rebuild`]: every global is looked up once, by name. Nothing outside
//! this table is interpreted; it stays an opaque object.

use super::joblib;
use crate::formats::containers::pickle::Global;
use crate::model::Dtype;

/// A name with a meaning here.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// `torch._utils._rebuild_tensor` and `_v2`: storage, offset, size, strides, `requires_grad`, hooks, metadata.
    Tensor,
    /// `_rebuild_tensor_v3`: the same, with the dtype after the hooks.
    TensorV3,
    /// `_rebuild_parameter`, `_with_state`, and `Parameter` itself: a tensor and whether it requires a gradient.
    Parameter,
    /// `torch.autograd.Variable` (torch < 0.4): a tensor; whether it requires a gradient is in its state.
    Variable,
    /// `torch.FloatTensor` and its kind (the first releases): storage, offset, size and strides are its state.
    TensorClass,
    /// `_rebuild_from_type_v2`: function, type, arguments, attributes.
    FromType,
    /// `_rebuild_device_tensor_from_numpy`, `_from_cpu_tensor`: data, dtype, device, `requires_grad`.
    OfDevice,
    /// `_rebuild_meta_tensor_no_storage`: dtype, size, strides, `requires_grad`.
    Meta,
    /// `_rebuild_wrapper_subclass`: class, dtype, size, strides, offset, layout, device, `requires_grad`.
    Wrapper,
    /// `_rebuild_qtensor`: storage, offset, size, strides, quantizer, `requires_grad`, hooks.
    Quantized,
    /// `_rebuild_sparse_tensor`, `_rebuild_sparse_csr_tensor`: layout and its parts.
    Sparse,
    /// `_rebuild_nested_tensor`: buffer, sizes, strides, offsets.
    Nested,
    /// A storage class and the dtype of its elements; `None` for untyped bytes.
    Storage(Option<Dtype>),
    /// `torch.storage._load_from_bytes`: a whole PyTorch file as bytes.
    LoadFromBytes,
    /// `torch.float32` and its kind.
    Dtype(Dtype),
    /// `torch.Size`.
    Size,
    /// `torch.device`.
    Device,
    /// `numpy.core.multiarray._reconstruct`: an array whose state holds its values.
    NumpyArray,
    /// `numpy.core.numeric._frombuffer`: buffer, dtype, shape, order.
    NumpyBuffer,
    /// `joblib.numpy_pickle.NumpyArrayWrapper`: an array whose bytes follow in the stream.
    JoblibArray,
    /// `numpy.core.multiarray.scalar`: dtype, bytes.
    NumpyScalar,
    /// `numpy.dtype`.
    NumpyDtype,
    /// `_codecs.encode`: how protocols below 3 write bytes.
    Encode,
    /// `bytes` and `bytearray`.
    Bytes,
    /// Dictionaries: `OrderedDict`, `defaultdict`, `Counter`, `dict`.
    Mapping,
    /// Lists, sets and queues; TorchScript's `build_intlist` and its kind.
    Sequence,
    /// `torch.jit._pickle.restore_type_tag`: a container and the name of its type.
    Tagged,
    /// `complex`: real, imaginary.
    Complex,
    /// `copyreg._reconstructor`: class, base, base's state; and `copyreg.__newobj__`: class, arguments.
    MakeObject,
    /// Anything else.
    Unknown,
}

impl Known {
    /// What `global` stands for.
    pub fn of(global: &Global) -> Self {
        let (module, name) = (global.module.as_str(), global.name.as_str());
        let root = module.split('.').next().unwrap_or(module);
        match root {
            "torch" => torch(module, name),
            "joblib" | "sklearn" if joblib::is_wrapper(global) => Self::JoblibArray,
            "numpy" => match name {
                "_reconstruct" | "_mareconstruct" => Self::NumpyArray,
                "_frombuffer" => Self::NumpyBuffer,
                "scalar" => Self::NumpyScalar,
                "dtype" => Self::NumpyDtype,
                _ => Self::Unknown,
            },
            "collections" | "UserDict" => match name {
                "OrderedDict" | "defaultdict" | "Counter" | "UserDict" => Self::Mapping,
                "deque" => Self::Sequence,
                _ => Self::Unknown,
            },
            "builtins" | "__builtin__" => match name {
                "dict" => Self::Mapping,
                "set" | "frozenset" | "list" | "tuple" => Self::Sequence,
                "bytes" | "bytearray" => Self::Bytes,
                "complex" => Self::Complex,
                _ => Self::Unknown,
            },
            "_codecs" if name == "encode" => Self::Encode,
            "copyreg" | "copy_reg" => match name {
                "_reconstructor" | "__newobj__" => Self::MakeObject,
                _ => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }

    /// Whether a call of it makes a tensor.
    pub fn makes_tensor(&self) -> bool {
        matches!(
            self,
            Self::Tensor
                | Self::TensorV3
                | Self::Parameter
                | Self::Variable
                | Self::TensorClass
                | Self::FromType
                | Self::OfDevice
                | Self::Meta
                | Self::Wrapper
                | Self::Quantized
                | Self::Sparse
                | Self::Nested
                | Self::LoadFromBytes
                | Self::NumpyArray
                | Self::NumpyBuffer
                | Self::JoblibArray
        )
    }
}

fn torch(module: &str, name: &str) -> Known {
    match name {
        "_rebuild_tensor" | "_rebuild_tensor_v2" => Known::Tensor,
        "_rebuild_tensor_v3" => Known::TensorV3,
        "_rebuild_parameter" | "_rebuild_parameter_with_state" => Known::Parameter,
        "restore_type_tag" if module == "torch.jit._pickle" => Known::Tagged,
        "build_intlist" | "build_tensorlist" | "build_doublelist" | "build_boollist" => Known::Sequence,
        "Variable" if module.starts_with("torch.autograd") => Known::Variable,
        "Parameter" | "Buffer" if module.starts_with("torch.nn.parameter") => Known::Parameter,
        "_rebuild_from_type_v2" | "_rebuild_from_type" => Known::FromType,
        "_rebuild_device_tensor_from_numpy"
        | "_rebuild_device_tensor_from_cpu_tensor"
        | "_rebuild_xla_tensor" => Known::OfDevice,
        "_rebuild_meta_tensor_no_storage" => Known::Meta,
        "_rebuild_wrapper_subclass" => Known::Wrapper,
        "_rebuild_qtensor" => Known::Quantized,
        "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => Known::Sparse,
        "_rebuild_nested_tensor" => Known::Nested,
        "_load_from_bytes" => Known::LoadFromBytes,
        "Size" => Known::Size,
        "device" => Known::Device,
        _ if name.ends_with("Storage") => storage(name),
        _ if name.ends_with("Tensor") && matches!(module, "torch" | "torch.cuda" | "torch.tensor") => {
            Known::TensorClass
        }
        _ if module == "torch" => {
            Dtype::from_name(name).or_else(|| exotic(name)).map_or(Known::Unknown, Known::Dtype)
        }
        _ => Known::Unknown,
    }
}

/// Types that PyTorch carries but does not compute with, by the bits of one element.
/// Source: `c10/core/ScalarType.h`; an element takes whole bytes whatever its name says.
fn exotic(name: &str) -> Option<Dtype> {
    let bits = match name {
        "bits16" => 16,
        "bcomplex32" => 32,
        "bits8" | "bits1x8" | "bits2x4" | "bits4x2" | "quint4x2" | "quint2x4" | "uint1" | "uint2"
        | "uint3" | "uint4" | "uint5" | "uint6" | "uint7" | "int1" | "int2" | "int3" | "int4" | "int5"
        | "int6" | "int7" => 8,
        _ => return None,
    };
    Some(Dtype::Other(name.into(), bits))
}

/// Source: the storage classes of `torch/storage.py` and `torch/__init__.py`.
fn storage(name: &str) -> Known {
    Known::Storage(Some(match name {
        "DoubleStorage" => Dtype::Float64,
        "FloatStorage" => Dtype::Float32,
        "HalfStorage" => Dtype::Float16,
        "BFloat16Storage" => Dtype::Bfloat16,
        "LongStorage" => Dtype::Int64,
        "IntStorage" => Dtype::Int32,
        "ShortStorage" => Dtype::Int16,
        "CharStorage" => Dtype::Int8,
        "ByteStorage" => Dtype::Uint8,
        "BoolStorage" => Dtype::Bool,
        "ComplexDoubleStorage" => Dtype::Complex128,
        "ComplexFloatStorage" => Dtype::Complex64,
        "QInt8Storage" => Dtype::Qint8,
        "QUInt8Storage" => Dtype::Quint8,
        "QInt32Storage" => Dtype::Qint32,
        "QUInt4x2Storage" => Dtype::Other("quint4x2".into(), 8),
        "QUInt2x4Storage" => Dtype::Other("quint2x4".into(), 8),
        "UntypedStorage" | "_UntypedStorage" | "TypedStorage" | "_TypedStorage" => {
            return Known::Storage(None);
        }
        _ => return Known::Unknown,
    }))
}
