//! Exports: what is written reads back as what was read, in every format and dtype, and failures leave nothing.

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use ckptscope::export::{
    Conversion, ExportError, ExportFormat, ExportPlan, ExportRequest, MetadataChoice, PlannedTensor, Verify,
};
use ckptscope::jobs::export::{Exported, export};
use ckptscope::model::{
    Checkpoint, CheckpointParts, Dtype, Keys, Progress, PythonType, PythonTypes, ReadError, RenameRule,
    Shape, TensorId, TensorInfo, TensorReader, Value,
};

use crate::support::{Complaints, bytes_of, fixture, fixtures, hash_of, open};

/// Formats that this program reads back.
pub const READ_BACK: [ExportFormat; 5] = [
    ExportFormat::Safetensors,
    ExportFormat::PyTorch,
    ExportFormat::Npz,
    ExportFormat::NpyFolder,
    ExportFormat::Hdf5,
];

pub fn run(checkpoint: &Checkpoint, request: ExportRequest) -> Result<(ExportPlan, Exported), ExportError> {
    let plan = ExportPlan::new(checkpoint, request)?;
    let exported = export(checkpoint, &plan, &Progress::new())?;
    Ok((plan, exported))
}

/// The values of a tensor as numbers.
fn numbers(dtype: &Dtype, bytes: &[u8]) -> Vec<f64> {
    let mut numbers = Vec::new();
    dtype.decode(bytes, &mut numbers);
    numbers
}

/// The tensor of the new file that the plan means.
pub fn find(found: &Checkpoint, format: ExportFormat, tensor: &PlannedTensor) -> Option<TensorId> {
    match format {
        ExportFormat::Hdf5 => {
            let path = format!("/{}", tensor.keys.join("/"));
            found.tensors().find(|(_, other)| other.stored_name() == path).map(|(id, _)| id)
        }
        ExportFormat::PyTorch => found.find(&tensor.keys.join(".")),
        _ => found.find(&tensor.name),
    }
}

#[test]
fn every_fixture_in_every_format_reads_back_as_what_was_read() {
    let mut complaints = Complaints::default();
    let mut dtypes = std::collections::BTreeSet::new();
    for fixture in fixtures() {
        let checkpoint = fixture.open();
        // A folder of arrays has no names to find again: another test.
        for format in READ_BACK.into_iter().filter(|&format| format != ExportFormat::NpyFolder) {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("out").with_extension(format.extension());
            let request =
                ExportRequest { verify: Verify::Never, ..ExportRequest::new(&checkpoint, format, &target) };
            let what = format!("{} as {}", fixture.name, format.id());
            let plan = match run(&checkpoint, request) {
                Ok((plan, _)) => plan,
                // Nothing in it can be exported.
                Err(ExportError::Refused(reason))
                    if reason.contains("selected") || reason.contains("nothing") =>
                {
                    continue;
                }
                Err(ExportError::Read { source: ReadError::Unsupported(_), .. }) => continue,
                Err(error) => {
                    complaints.add(format!("{what}: {error}"));
                    continue;
                }
            };
            let found = match open(&target) {
                Ok(found) => found,
                Err(error) => {
                    complaints.add(format!("{what}: {error}"));
                    continue;
                }
            };
            complaints.unless_equal(
                &format!("{what}: the number of tensors"),
                &found.tensors().len(),
                &plan.tensors.len(),
            );
            for tensor in &plan.tensors {
                let Some(id) = find(&found, format, tensor) else {
                    complaints.add(format!("{what}: {} is missing", tensor.name));
                    continue;
                };
                let read = found.tensor(id);
                complaints.unless_equal(
                    &format!("{what}: the dtype of {}", tensor.name),
                    &read.dtype,
                    &tensor.dtype,
                );
                complaints.unless_equal(
                    &format!("{what}: the shape of {}", tensor.name),
                    &read.shape,
                    &tensor.shape,
                );
                let Ok(before) = bytes_of(&checkpoint, tensor.id) else { continue };
                let after = bytes_of(&found, id).unwrap();
                dtypes.insert((format.id(), tensor.from.name().to_owned()));
                let is_same = match tensor.conversion {
                    Conversion::None => before == after,
                    Conversion::Exact if tensor.from.is_complex() => true, // `decode` gives magnitudes
                    Conversion::Exact => {
                        let (a, b) = (numbers(&tensor.from, &before), numbers(&tensor.dtype, &after));
                        a.len() == b.len()
                            && a.iter().zip(&b).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
                    }
                    Conversion::Rounding => true,
                };
                if !is_same {
                    complaints.add(format!("{what}: the values of {} differ", tensor.name));
                }
            }
        }
    }
    assert!(dtypes.len() > 60, "few dtypes were tried: {dtypes:?}");
    complaints.check();
}

#[test]
fn a_folder_of_arrays_has_one_file_per_tensor() {
    let checkpoint = fixture("numpy/archive").open();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("arrays");
    let (plan, exported) = run(
        &checkpoint,
        ExportRequest {
            verify: Verify::Always,
            ..ExportRequest::new(&checkpoint, ExportFormat::NpyFolder, &target)
        },
    )
    .unwrap();
    assert!(exported.verified);
    assert_eq!(fs::read_dir(&target).unwrap().count(), plan.tensors.len());
    for (file, tensor) in plan.files.iter().zip(&plan.tensors) {
        let one = open(&file.path).unwrap();
        assert_eq!(hash_of(&one, TensorId(0)), hash_of(&checkpoint, tensor.id), "{}", tensor.name);
    }
}

/// Values of every dtype: bytes that count up, or what a test gives.
struct Made {
    bytes: Vec<Vec<u8>>,
    /// Called with each piece that is read.
    on_read: Box<dyn Fn(u64) -> Result<(), ReadError> + Send + Sync>,
}

impl TensorReader for Made {
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        for piece in self.bytes[id.index()].chunks(48) {
            (self.on_read)(piece.len() as u64)?;
            progress.advance(piece.len() as u64)?;
            if sink(piece).is_break() {
                break;
            }
        }
        Ok(())
    }
}

pub fn made(
    tensors: Vec<(&str, Dtype, Vec<u64>, Vec<u8>)>,
    on_read: impl Fn(u64) -> Result<(), ReadError> + Send + Sync + 'static,
) -> Checkpoint {
    let infos = tensors
        .iter()
        .map(|(name, dtype, dims, bytes)| {
            TensorInfo::new(*name, dtype.clone(), Shape::from(dims.clone()), bytes.len() as u64)
        })
        .collect();
    let bytes = tensors.into_iter().map(|(.., bytes)| bytes).collect();
    let parts = CheckpointParts {
        format: "safetensors",
        framework: None,
        tensors: infos,
        layers: Vec::new(),
        metadata: Value::empty(),
        problems: Vec::new(),
        file_bytes: 0,
        counts_known: false,
        versioned_modules: Vec::new(),
        python_types: PythonTypes::default(),
        reader: Box::new(Made { bytes, on_read: Box::new(on_read) }),
    };
    Checkpoint::new(Path::new("made"), parts)
}

/// One tensor of every dtype that is not of blocks.
fn every_dtype() -> Checkpoint {
    let names = [
        "float64",
        "float32",
        "float16",
        "bfloat16",
        "float8_e4m3fn",
        "float8_e5m2",
        "float8_e4m3fnuz",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        "float4_e2m1fn_x2",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint64",
        "uint32",
        "uint16",
        "uint8",
        "bool",
        "complex128",
        "complex64",
        "complex32",
        "qint8",
        "quint8",
        "qint32",
        "int4",
        "uint4",
        "int2",
        "uint2",
    ];
    let further = [Dtype::Float4E2m1, Dtype::Float6E2m3, Dtype::Float6E3m2];
    let dtypes = names.iter().map(|name| Dtype::from_name(name).unwrap()).chain(further);
    let tensors = dtypes
        .map(|dtype| {
            let bytes = dtype.bytes_for(3 * 8).unwrap() as usize;
            let values = match dtype {
                Dtype::Bool => (0..bytes).map(|byte| (byte % 2) as u8).collect(),
                _ => (0..bytes).map(|byte| (byte * 37 + 11) as u8).collect::<Vec<u8>>(),
            };
            let name: &'static str = Box::leak(dtype.name().to_owned().into_boxed_str());
            (name, dtype, vec![3, 8], values)
        })
        .collect();
    made(tensors, |_| Ok(()))
}

#[test]
fn every_dtype_is_kept_where_the_format_has_it_and_stands_for_the_same_numbers_where_not() {
    let checkpoint = every_dtype();
    for format in READ_BACK {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out").with_extension(format.extension());
        let request =
            ExportRequest { verify: Verify::Always, ..ExportRequest::new(&checkpoint, format, &target) };
        let (plan, exported) =
            run(&checkpoint, request).unwrap_or_else(|error| panic!("{}: {error}", format.id()));
        assert!(exported.verified);
        assert_eq!(plan.left_out, [], "{}", format.id());
        assert_eq!(plan.tensors.len(), checkpoint.tensors().len());
        let kept = plan.tensors.iter().filter(|tensor| tensor.conversion == Conversion::None).count();
        let expected = match format {
            ExportFormat::Safetensors | ExportFormat::PyTorch => 22,
            _ => 14,
        };
        assert_eq!(kept, expected, "{}", format.id());
        assert_eq!(plan.warnings.is_empty(), kept == plan.tensors.len());
    }
}

#[test]
fn real_readers_read_what_is_written() {
    let given = std::env::var("CKPTSCOPE_PYTHON").ok();
    let python = given.as_deref().unwrap_or("python3");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/real_readers.py");
    let checkpoint = every_dtype();
    for format in READ_BACK {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out").with_extension(format.extension());
        let mut request = ExportRequest::new(&checkpoint, format, &target);
        // torch has no type for these.
        if format == ExportFormat::Safetensors {
            request
                .tensors
                .retain(|&id| !matches!(checkpoint.tensor(id).dtype, Dtype::Float6E2m3 | Dtype::Float6E3m2));
        }
        let (plan, _) = run(&checkpoint, request).unwrap();
        let output = match Command::new(python).arg(&script).arg(&target).arg(format.id()).output() {
            Ok(output) => output,
            Err(error) if given.is_some() => panic!("{python}: {error}"),
            Err(_) => return println!("SKIP: no {python}; set CKPTSCOPE_PYTHON"),
        };
        assert!(output.status.success(), "{}: {}", format.id(), String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        if let Some(module) = answer["missing"].as_str() {
            // One that was given has the small ones; torch is a gigabyte.
            assert!(given.is_none() || module == "torch", "{python} has no module {module}");
            println!("SKIP {}: {python} has no module {module}", format.id());
            continue;
        }
        let tensors = answer["tensors"].as_object().unwrap();
        assert_eq!(tensors.len(), plan.tensors.len(), "{}", format.id());
        let written = if format == ExportFormat::NpyFolder { None } else { Some(open(&target).unwrap()) };
        for (place, tensor) in plan.tensors.iter().enumerate() {
            let name = match format {
                ExportFormat::Hdf5 => tensor.keys.join("/"),
                ExportFormat::NpyFolder => format!("{}.npy", tensor.name),
                _ => tensor.name.clone(),
            };
            let read =
                tensors.get(&name).unwrap_or_else(|| panic!("{}: no {name} in {tensors:?}", format.id()));
            // torch counts two of the packed numbers as one element; numpy calls a truth value and a complex number otherwise.
            let packed = tensor.dtype == Dtype::Float4E2m1;
            if !packed {
                assert_eq!(read[0], tensor.dtype.name(), "{} {name}", format.id());
                assert_eq!(read[1], serde_json::json!(tensor.shape.dims()), "{} {name}", format.id());
            }
            let ours = match &written {
                Some(written) => hash_of(written, find(written, format, tensor).unwrap()),
                None => hash_of(&open(&plan.files[place].path).unwrap(), TensorId(0)),
            };
            assert_eq!(read[2], ours, "{} {name}", format.id());
            if tensor.conversion == Conversion::None {
                assert_eq!(ours, hash_of(&checkpoint, tensor.id), "{} {name}", format.id());
            }
        }
        let reader = answer["reader"].as_str().unwrap();
        println!("{}: {} tensors read by {reader}", format.id(), tensors.len());
    }
}

#[test]
fn a_cast_rounds_and_counts_what_does_not_fit() {
    let values: Vec<u8> = [1.0f32, 1e6, -1e6, 1e-10, f32::NAN].iter().flat_map(|x| x.to_le_bytes()).collect();
    let checkpoint =
        made(vec![("w", Dtype::Float32, vec![5], values), ("n", Dtype::Int64, vec![1], vec![0; 8])], |_| {
            Ok(())
        });
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out.safetensors");
    let mut request = ExportRequest::new(&checkpoint, ExportFormat::Safetensors, &target);
    request.cast = Some(Dtype::Float16);
    let (plan, exported) = run(&checkpoint, request).unwrap();
    assert!(exported.verified, "converted files are read back");
    assert_eq!(exported.overflowed, [("w".to_owned(), 2)]);
    assert_eq!(exported.vanished, [("w".to_owned(), 1)]);
    assert_eq!(plan.warnings, ["1 float32 tensor becomes float16: rounded to the nearest"]);
    let found = open(&target).unwrap();
    assert_eq!(found.tensor(found.find("n").unwrap()).dtype, Dtype::Int64, "integers are not cast to floats");
    let halves = numbers(&Dtype::Float16, &bytes_of(&found, found.find("w").unwrap()).unwrap());
    assert_eq!(halves[..4], [1.0, f64::INFINITY, f64::NEG_INFINITY, 0.0]);
    assert!(halves[4].is_nan());
}

#[test]
fn shards_stay_below_their_size_and_open_by_their_index() {
    let tensors = (0..7).map(|index| {
        let name: &'static str = Box::leak(format!("layers.{index}.w").into_boxed_str());
        (name, Dtype::Uint8, vec![100], vec![index as u8; 100])
    });
    let checkpoint = made(tensors.collect(), |_| Ok(()));
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model.safetensors");
    let mut request = ExportRequest::new(&checkpoint, ExportFormat::Safetensors, &target);
    request.shard_bytes = Some(250);
    let (plan, exported) = run(&checkpoint, request).unwrap();
    assert_eq!(plan.files.len(), 4);
    assert_eq!(exported.path, folder.path().join("model.safetensors.index.json"));
    assert!(folder.path().join("model-00004-of-00004.safetensors").exists());
    assert!(!target.exists());
    let set = open(&exported.path).unwrap();
    assert_eq!((set.format(), set.tensors().len()), ("safetensors-sharded", 7));
    for (id, tensor) in checkpoint.tensors() {
        assert_eq!(hash_of(&set, set.find(&tensor.name).unwrap()), hash_of(&checkpoint, id));
    }
}

#[test]
fn names_are_changed_by_rules_and_must_stay_different() {
    let tensors = ["module.a.w", "module.b.w"].map(|name| (name, Dtype::Uint8, vec![2], vec![1, 2]));
    let checkpoint = made(tensors.to_vec(), |_| Ok(()));
    let folder = tempfile::tempdir().unwrap();
    let request = |rule: &str, file: &str| ExportRequest {
        rules: vec![RenameRule::parse(rule).unwrap()],
        ..ExportRequest::new(&checkpoint, ExportFormat::Safetensors, folder.path().join(file))
    };
    let (plan, _) = run(&checkpoint, request("module.=>net.", "a.safetensors")).unwrap();
    let names: Vec<&str> = plan.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["net.a.w", "net.b.w"]);
    let error = ExportPlan::new(&checkpoint, request("s/[ab]/x/", "b.safetensors")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "two tensors would be called \"module.x.w\": \"module.a.w\" and \"module.b.w\""
    );
}

#[test]
fn a_checkpoint_slimmed_to_its_model_keeps_its_structure() {
    let checkpoint = fixture("pytorch/checkpoint").open();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("slim.pt");
    let request = ExportRequest {
        tensors: ckptscope::export::Choice::slim().of(&checkpoint),
        ..ExportRequest::new(&checkpoint, ExportFormat::PyTorch, &target)
    };
    let (plan, _) = run(&checkpoint, request).unwrap();
    assert!(plan.tensors.len() < checkpoint.tensors().len(), "nothing was left out");
    let slim = open(&target).unwrap();
    assert_eq!(slim.totals().optimizer, 0);
    for (_, tensor) in slim.tensors() {
        let before = checkpoint.find(&tensor.name).expect("the same names");
        assert_eq!(checkpoint.tensor(before).path, tensor.path);
        assert_eq!(checkpoint.tensor(before).role, tensor.role, "{}", tensor.name);
    }
    assert_eq!(slim.metadata().get("epoch"), checkpoint.metadata().get("epoch"));
}

/// Every value of the metadata as JSON, byte strings whole.
fn plain_values(checkpoint: &Checkpoint) -> Vec<(String, String)> {
    fn walk(checkpoint: &Checkpoint, key: String, value: &Value, found: &mut Vec<(String, String)>) {
        match value {
            Value::Map(entries) => {
                for (name, value) in entries {
                    walk(checkpoint, format!("{key}/{name}"), value, found);
                }
            }
            Value::List(items) => {
                for (index, value) in items.iter().enumerate() {
                    walk(checkpoint, format!("{key}/{index}"), value, found);
                }
            }
            // A float's bits: of zeros and NaN too.
            Value::Float(number) => found.push((key, format!("{:016x}", number.to_bits()))),
            Value::Tensor(id) => found.push((key, checkpoint.tensor(*id).name.clone())),
            value => found.push((key, format!("{value:?}"))),
        }
    }
    let mut found = Vec::new();
    walk(checkpoint, String::new(), checkpoint.metadata(), &mut found);
    found
}

#[test]
fn a_checkpoint_comes_back_with_the_python_types_that_it_had() {
    let checkpoint = fixture("pytorch/containers").open();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("whole.pt");
    let (plan, _) = run(
        &checkpoint,
        ExportRequest {
            verify: Verify::Always,
            ..ExportRequest::new(&checkpoint, ExportFormat::PyTorch, &target)
        },
    )
    .unwrap();
    assert_eq!(plan.warnings, [] as [&str; 0]);
    let whole = open(&target).unwrap();
    assert_eq!(whole.python_types(), checkpoint.python_types());
    assert_eq!(plain_values(&whole), plain_values(&checkpoint));
    let keys = |key: &str| vec![key.to_owned()];
    for (key, of) in [
        ("pair", PythonType::Tuple),
        ("set", PythonType::Set),
        ("shape", PythonType::Size),
        ("model", PythonType::Dict { ordered: true, keys: Keys::Text }),
        ("by_number", PythonType::Dict { ordered: false, keys: Keys::Int }),
        ("counted", PythonType::Dict { ordered: false, keys: Keys::Text }),
        ("complex", PythonType::Complex { re: 1.5, im: -2e-9 }),
    ] {
        assert_eq!(whole.python_types().get(&keys(key)), Some(of), "{key}");
    }
    // What was left out of a tuple leaves its place to the others.
    let slim = folder.path().join("slim.pt");
    let second = checkpoint.find("pair.1").unwrap();
    let request = ExportRequest {
        tensors: vec![second],
        metadata: MetadataChoice::None,
        ..ExportRequest::new(&checkpoint, ExportFormat::PyTorch, &slim)
    };
    run(&checkpoint, request).unwrap();
    let slim = open(&slim).unwrap();
    assert_eq!(slim.python_types().get(&keys("pair")), Some(PythonType::Tuple));
    assert_eq!(hash_of(&slim, slim.find("pair.1").unwrap()), hash_of(&checkpoint, second));
}

#[test]
fn tied_tensors_are_shared_where_the_format_can_and_recorded_where_it_cannot() {
    let checkpoint = fixture("pytorch/tied").open();
    let aliases = checkpoint.tensors().filter(|(_, tensor)| tensor.tied_to.is_some()).count();
    assert!(aliases > 0);
    let folder = tempfile::tempdir().unwrap();
    for format in [ExportFormat::PyTorch, ExportFormat::Hdf5] {
        let target = folder.path().join("tied").with_extension(format.extension());
        run(&checkpoint, ExportRequest::new(&checkpoint, format, &target)).unwrap();
        let found = open(&target).unwrap();
        let shared = found.tensors().filter(|(_, tensor)| tensor.tied_to.is_some()).count();
        assert_eq!(shared, aliases, "{}", format.id());
    }
    let target = folder.path().join("tied.safetensors");
    let request = ExportRequest {
        drop_duplicates: true,
        ..ExportRequest::new(&checkpoint, ExportFormat::Safetensors, &target)
    };
    let (plan, _) = run(&checkpoint, request).unwrap();
    let found = open(&target).unwrap();
    assert_eq!(found.tensors().len(), checkpoint.tensors().len() - aliases);
    for tensor in plan.tensors.iter().filter(|tensor| tensor.alias_of.is_some()) {
        let kept = &plan.tensors[tensor.alias_of.unwrap()].name;
        assert_eq!(found.metadata().get(&tensor.name).and_then(Value::as_text), Some(kept.as_str()));
    }
}

#[test]
fn csv_is_a_table_for_one_matrix_and_lines_for_several_tensors() {
    let matrix: Vec<u8> = [1.5f32, -2.0, 0.1, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let checkpoint = made(
        vec![
            ("m", Dtype::Float32, vec![2, 2], matrix),
            ("n", Dtype::Int64, vec![1], (-7i64).to_le_bytes().to_vec()),
        ],
        |_| Ok(()),
    );
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out.csv");
    let mut request = ExportRequest::new(&checkpoint, ExportFormat::Csv, &target);
    run(&checkpoint, request.clone()).unwrap();
    assert_eq!(
        fs::read_to_string(&target).unwrap(),
        "tensor,index,value\nm,0 0,1.5\nm,0 1,-2\nm,1 0,0.1\nm,1 1,3\nn,0,-7\n"
    );
    request.tensors.truncate(1);
    request.replace = true;
    run(&checkpoint, request).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "1.5,-2\n0.1,3\n");
}

/// What is in a folder, hidden files too.
#[test]
fn keras_weights_keep_the_layout_that_keras_loads() {
    for name in ["keras/keras2_model", "keras/keras3_model", "keras/keras2_legacy_weights"] {
        let checkpoint = fixture(name).open();
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("weights.h5");
        let request = ExportRequest {
            tensors: ckptscope::export::Choice::slim().of(&checkpoint),
            ..ExportRequest::new(&checkpoint, ExportFormat::Hdf5, &target)
        };
        let (plan, _) = run(&checkpoint, request).unwrap();
        let found = open(&target).unwrap();
        assert_eq!(found.format(), "keras-h5", "{name}");
        let layers = |checkpoint: &Checkpoint| -> HashMap<String, String> {
            checkpoint.tensors().map(|(id, tensor)| (tensor.name.clone(), hash_of(checkpoint, id))).collect()
        };
        let (before, after) = (layers(&checkpoint), layers(&found));
        assert_eq!(after.len(), plan.tensors.len(), "{name}");
        for (tensor, hash) in after {
            assert_eq!(before.get(&tensor), Some(&hash), "{name} {tensor}");
        }
    }
}

#[test]
fn a_name_by_which_keras_takes_the_file_for_the_other_layout_is_told() {
    for (name, target, told) in [
        ("keras/keras2_model", "a.h5", false),
        ("keras/keras2_model", "a.weights.h5", true),
        ("keras/keras3_weights", "a.weights.h5", false),
        ("keras/keras3_weights", "a.h5", true),
    ] {
        let checkpoint = fixture(name).open();
        let plan = ExportPlan::new(&checkpoint, ExportRequest::new(&checkpoint, ExportFormat::Hdf5, target));
        let warnings = plan.unwrap().warnings;
        let is_told = warnings.iter().any(|warning| warning.starts_with("Keras reads this layout only from"));
        assert_eq!(is_told, told, "{name} {target}: {warnings:?}");
    }
}

#[test]
fn a_cast_to_what_the_format_lacks_is_told() {
    let checkpoint = made(vec![("w", Dtype::Float32, vec![1], vec![0; 4])], |_| Ok(()));
    let mut request = ExportRequest::new(&checkpoint, ExportFormat::Npz, "a.npz");
    request.cast = Some(Dtype::Bfloat16);
    let plan = ExportPlan::new(&checkpoint, request).unwrap();
    assert_eq!(plan.warnings, ["not cast: nothing in NumPy archive holds bfloat16 values"]);
    assert_eq!(plan.tensors[0].dtype, Dtype::Float32);
}
