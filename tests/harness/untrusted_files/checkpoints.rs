//! Weights: pickles, safetensors, GGUF.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::Device;
use chartbench_nn::{Checkpoint, GgufHeader, donut, pix2struct};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{fixture, lengths, line};

/// Opens a folder with this one file in it.
fn open(name: &str, bytes: &[u8]) -> Result<Checkpoint> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), bytes).unwrap();
    Checkpoint::open(dir.path())
}

/// The line about a file, what stands before its name left out.
#[track_caller]
fn refused(name: &str, bytes: &[u8]) -> String {
    let began = Instant::now();
    let line = line(open(name, bytes));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    line.split_once(&format!("{name}: "))
        .unwrap_or_else(|| panic!("{line}"))
        .1
        .to_owned()
}

/// A torch file with this pickle and the bytes of its storages.
fn torch_zip(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("m/data.pkl", stored).unwrap();
    zip.write_all(pickle).unwrap();
    for (key, bytes) in storages {
        zip.start_file(format!("m/data/{key}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn text(text: &str) -> Vec<u8> {
    [
        b"X",
        u32::try_from(text.len()).unwrap().to_le_bytes().as_slice(),
        text.as_bytes(),
    ]
    .concat()
}

fn tuple(numbers: &[i32]) -> Vec<u8> {
    let items: Vec<u8> = numbers
        .iter()
        .flat_map(|number| [b"J", number.to_le_bytes().as_slice()].concat())
        .collect();
    [b"(".as_slice(), &items, b"t"].concat()
}

/// A state dict with the tensor `w`: a view on a storage of four numbers.
fn state_dict(class: &str, offset: i32, shape: &[i32], stride: &[i32]) -> Vec<u8> {
    let class = format!("ctorch\n{class}\n");
    let storage = [
        b"(",
        text("storage").as_slice(),
        class.as_bytes(),
        &text("0"),
        &text("cpu"),
        b"K\x04tQ",
    ]
    .concat();
    let offset = [b"J", offset.to_le_bytes().as_slice()].concat();
    [
        b"\x80\x02}".as_slice(),
        &text("w"),
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        &storage,
        &offset,
        &tuple(shape),
        &tuple(stride),
        b"\x89ccollections\nOrderedDict\n)RtRs.",
    ]
    .concat()
}

fn four_numbers() -> Vec<u8> {
    [1.0f32, 2.0, 3.0, 4.0]
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn torch_file(class: &str, offset: i32, shape: &[i32], stride: &[i32]) -> Vec<u8> {
    torch_zip(
        &state_dict(class, offset, shape, stride),
        &[("0", &four_numbers())],
    )
}

#[test]
fn pickles_that_unfold_nest_or_lie_about_lengths() {
    let no_dict = "m/data.pkl: not a state dict";
    let mut laughs = b"\x80\x02)q\x00".to_vec();
    for level in 0..12 {
        laughs.extend(
            [
                b"(".to_vec(),
                [b'h', level].repeat(10),
                vec![b't', b'q', level + 1],
            ]
            .concat(),
        );
    }
    laughs.push(b'.');
    let nested_list = [
        b"\x80\x02(".to_vec(),
        vec![b']'; 200_000],
        vec![b'a'; 199_999],
        b".".to_vec(),
    ]
    .concat();
    let nested_tuple = [b"\x80\x02N".to_vec(), vec![0x85; 300_000], b".".to_vec()].concat();
    for pickle in [laughs, nested_list, nested_tuple] {
        assert_eq!(
            refused("pytorch_model.bin", &torch_zip(&pickle, &[])),
            no_dict
        );
    }
    let damaged =
        "m/data.pkl: holds more than a state dict's tensors, or is damaged; refused: byte 2: ";
    let long_text = refused(
        "pytorch_model.bin",
        &torch_zip(b"\x80\x02X\xff\xff\xff\xff.", &[]),
    );
    assert_eq!(long_text, format!("{damaged}the pickle ends early"));
    let long_number = refused(
        "pytorch_model.bin",
        &torch_zip(b"\x80\x02\x8a\xff\x01.", &[]),
    );
    assert_eq!(long_number, format!("{damaged}a number of 255 bytes"));
}

#[test]
fn views_of_a_storage() {
    let values = |file: &[u8], shape: &[usize]| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("pytorch_model.bin"), file).unwrap();
        let tensor = Checkpoint::open(dir.path())
            .unwrap()
            .tensor("w", shape, &Device::Cpu)
            .unwrap();
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(
        values(&torch_file("FloatStorage", 0, &[2, 2], &[2, 1]), &[2, 2]),
        [1.0, 2.0, 3.0, 4.0]
    );
    assert_eq!(
        values(&torch_file("FloatStorage", 1, &[1, 3], &[99, 1]), &[1, 3]),
        [2.0, 3.0, 4.0]
    );
    assert_eq!(
        values(&torch_file("FloatStorage", 0, &[0, 7], &[1, 1]), &[0, 7]),
        [0.0f32; 0]
    );
    let refused = |file: Vec<u8>| refused("pytorch_model.bin", &file);
    for (shape, stride) in [([2, 2], [1, 2]), ([2, 2], [0, 1]), ([2, 2], [1, 1])] {
        let line = refused(torch_file("FloatStorage", 0, &shape, &stride));
        assert_eq!(
            line,
            format!(
                "tensor w: stored with strides {stride:?} of shape {shape:?}; save a contiguous copy"
            )
        );
    }
    let beyond = "tensor w: ends beyond its storage m/data/0 of 16 bytes";
    assert_eq!(
        refused(torch_file("FloatStorage", 1, &[2, 2], &[2, 1])),
        beyond
    );
    assert_eq!(refused(torch_file("DoubleStorage", 0, &[4], &[1])), beyond);
    assert_eq!(
        refused(torch_file("FloatStorage", i32::MAX, &[1], &[1])),
        beyond
    );
    let huge = [i32::MAX; 3];
    assert!(refused(torch_file("FloatStorage", 0, &huge, &huge)).starts_with("tensor w: "));
    assert_eq!(
        refused(torch_file("FloatStorage", -1, &[1], &[1])),
        "tensor w: its place or shape is negative"
    );
    assert_eq!(
        refused(torch_file("FloatStorage", 0, &[2, 2], &[1])),
        "tensor w: its shape has 2 sizes, its strides are 1"
    );
    let lacking = torch_zip(&state_dict("FloatStorage", 0, &[1], &[1]), &[]);
    assert!(refused(lacking).starts_with("tensor w: its storage m/data/0 is not in the zip"));
}

/// As transformers, which reads what the model asks for.
#[test]
fn an_unknown_dtype_counts_where_it_is_asked_for() {
    let told = |name: &str, bytes: &[u8]| {
        let checkpoint = open_kept(name, bytes);
        assert!(checkpoint.1.contains("w"));
        line(checkpoint.1.tensor("w", &[4], &Device::Cpu))
            .split_once(&format!("{name}: "))
            .unwrap()
            .1
            .to_owned()
    };
    let header = r#"{"w":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}"#;
    assert_eq!(
        told("model.safetensors", &safetensors(header, &[0; 4])),
        "tensor w is stored as F8_E4M3, which is not read here"
    );
    let header = r#"{"w":{"dtype":"F9_NEW","shape":[4],"data_offsets":[0,2]}}"#;
    assert_eq!(
        told("model.safetensors", &safetensors(header, &[0; 2])),
        "tensor w is stored as F9_NEW, which is not read here"
    );
    let bytes = torch_file("BoolStorage", 0, &[4], &[1]);
    assert_eq!(
        told("pytorch_model.bin", &bytes),
        "tensor w is stored as BoolStorage, which is not read here"
    );
}

fn open_kept(name: &str, bytes: &[u8]) -> (TempDir, Checkpoint) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), bytes).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    (dir, checkpoint)
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [
        (header.len() as u64).to_le_bytes().as_slice(),
        header.as_bytes(),
        data,
    ]
    .concat()
}

#[test]
fn safetensors_whose_tensors_do_not_fill_the_file() {
    let told = |tensors: &[(&str, u64, u64)], data: usize| {
        let tensors: Vec<String> = tensors
            .iter()
            .map(|(name, start, end)| {
                let elements = end.saturating_sub(*start) / 4;
                format!(r#""{name}":{{"dtype":"F32","shape":[{elements}],"data_offsets":[{start},{end}]}}"#)
            })
            .collect();
        refused(
            "model.safetensors",
            &safetensors(&format!("{{{}}}", tensors.join(",")), &vec![0; data]),
        )
    };
    assert_eq!(
        told(&[("a", 0, 8)], 12),
        "4 bytes after the last tensor belong to none"
    );
    assert_eq!(
        told(&[("a", 0, 8), ("b", 4, 12)], 12),
        "tensor b overlaps the one before it"
    );
    assert_eq!(
        told(&[("a", 0, 8), ("b", 0, 8)], 8),
        "tensor b overlaps the one before it"
    );
    assert_eq!(
        told(&[("b", 4, 8)], 8),
        "4 bytes before tensor b belong to no tensor"
    );
    assert_eq!(told(&[("a", 8, 4)], 8), "tensor a ends before it begins");
    assert!(told(&[("a", 0, 4), ("a", 4, 8)], 8).contains("a is there twice"));
    assert!(told(&[("a", 0, u64::MAX)], 8).starts_with("truncated: tensor a ends at byte "));
    assert!(told(&[("a", u64::MAX - 4, u64::MAX)], 8).contains("belong to no tensor"));
    let wide =
        r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]}}"#;
    assert!(
        refused("model.safetensors", &safetensors(wide, &[0; 4])).starts_with("tensor a: shape ")
    );
    let fewer = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#;
    assert_eq!(
        refused("model.safetensors", &safetensors(fewer, &[0; 4])),
        "tensor a: shape [2] does not fill its 4 bytes"
    );
    let long = refused("model.safetensors", &u64::MAX.to_le_bytes());
    assert!(
        long.starts_with("truncated, or not a safetensors file: the header should take "),
        "{long}"
    );
}

/// A GGUF file of these tensors and metadata, as `model.gguf` has them.
#[derive(Default)]
struct Gguf {
    metadata: Vec<u8>,
    values: u64,
    tensors: Vec<u8>,
    count: u64,
}

fn gguf_text(text: &str) -> Vec<u8> {
    [
        (text.len() as u64).to_le_bytes().as_slice(),
        text.as_bytes(),
    ]
    .concat()
}

impl Gguf {
    fn new() -> Self {
        let mut gguf = Self::default();
        gguf.value("general.architecture", 8, &gguf_text("pix2struct"));
        gguf.value("chartbench.quantization", 8, &gguf_text("q8"));
        gguf
    }

    fn value(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.values += 1;
        self.metadata
            .extend([gguf_text(key).as_slice(), &kind.to_le_bytes(), value].concat());
    }

    fn tensor(&mut self, name: &str, shape: &[u64], offset: u64) {
        self.count += 1;
        self.tensors.extend(gguf_text(name));
        self.tensors
            .extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
        self.tensors
            .extend(shape.iter().flat_map(|size| size.to_le_bytes()));
        self.tensors
            .extend([0u32.to_le_bytes().as_slice(), &offset.to_le_bytes()].concat());
    }

    fn bytes(&self, data: usize) -> Vec<u8> {
        let counts = [self.count.to_le_bytes(), self.values.to_le_bytes()].concat();
        let mut bytes = [
            b"GGUF\x03\0\0\0".as_slice(),
            &counts,
            &self.metadata,
            &self.tensors,
        ]
        .concat();
        bytes.resize(bytes.len().next_multiple_of(32) + data, 0);
        bytes
    }

    #[track_caller]
    fn refused(&self) -> String {
        let bytes = self.bytes(64);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.gguf");
        fs::write(&path, &bytes).unwrap();
        let told = refused("model.gguf", &bytes);
        // Language models are read by the same rules.
        if let Err(error) = GgufHeader::read(&path) {
            assert_eq!(format!("{error:#}"), told);
        }
        told
    }
}

#[test]
fn gguf_files_whose_numbers_do_not_fit_them() {
    let with_tensors = |tensors: &[(&str, &[u64], u64)]| {
        let mut gguf = Gguf::new();
        for (name, shape, offset) in tensors {
            gguf.tensor(name, shape, *offset);
        }
        gguf
    };
    assert!(
        open(
            "model.gguf",
            &with_tensors(&[("a", &[4], 0), ("b", &[4], 32)]).bytes(64)
        )
        .is_ok()
    );
    for alignment in [0u32, 3, 33] {
        let mut gguf = with_tensors(&[("a", &[4], 0)]);
        gguf.value("general.alignment", 4, &alignment.to_le_bytes());
        assert_eq!(gguf.refused(), "general.alignment is no power of two");
    }
    let told = |tensors: &[(&str, &[u64], u64)]| with_tensors(tensors).refused();
    let larger = "its list of tensors is damaged, or the file truncated: tensor a of shape ";
    assert!(told(&[("a", &[1 << 63], 0)]).starts_with(larger));
    assert!(told(&[("a", &[1 << 32, 1 << 32], 0)]).starts_with(larger));
    assert!(told(&[("a", &[u64::MAX, 2], 0)]).starts_with(larger));
    assert!(told(&[("a", &[4], 0), ("a", &[4], 32)]).ends_with("tensor a is there twice"));
    assert_eq!(
        told(&[("a", &[4], 8)]),
        "tensor a is not at a multiple of 32 bytes"
    );
    assert!(told(&[("a", &[4], 1 << 40)]).starts_with("truncated: tensor a begins at byte "));
    assert_eq!(
        told(&[("a", &[16], 0), ("b", &[4], 32)]),
        "tensors a and b overlap"
    );
    assert!(told(&[("a", &[32], 0)]).starts_with("truncated: tensor a ends at byte "));
}

#[test]
fn gguf_counts_and_lengths_are_bounded() {
    let mut gguf = Gguf::new();
    gguf.value("general.architecture", 8, &gguf_text("donut"));
    assert_eq!(
        gguf.refused(),
        "its metadata has general.architecture twice"
    );
    let huge = u64::MAX.to_le_bytes();
    let damaged = "its metadata is damaged, or the file truncated: x: ";
    let array = |kind: u32, count: u64, items: &[u8]| {
        let mut gguf = Gguf::new();
        gguf.value(
            "x",
            9,
            &[kind.to_le_bytes().as_slice(), &count.to_le_bytes(), items].concat(),
        );
        gguf.refused()
    };
    assert_eq!(
        array(0, u64::MAX, &[]),
        format!("{damaged}arrays of more than 8388608 elements")
    );
    assert!(array(8, 1 << 20, &[]).starts_with(damaged));
    let nested: Vec<u8> = [9u32.to_le_bytes().as_slice(), &1u64.to_le_bytes()]
        .concat()
        .repeat(100);
    assert_eq!(array(9, 1, &nested), format!("{damaged}an array of arrays"));
    let mut gguf = Gguf::new();
    gguf.value("x", 8, &huge);
    assert!(gguf.refused().starts_with(&format!(
        "{damaged}a text of 18446744073709551615 bytes in a file of "
    )));
    let mut gguf = Gguf::new();
    gguf.values = u64::MAX;
    assert!(
        gguf.refused()
            .starts_with("18446744073709551615 entries of metadata, more than ")
    );
    let mut gguf = Gguf::new();
    gguf.count = u64::MAX;
    assert!(
        gguf.refused()
            .starts_with("18446744073709551615 tensors, more than ")
    );
}

/// A whole file as the checkpoint that the cut ones are cut of.
fn cut(name: &str, whole: &[u8], read: impl Fn(&Path) -> Result<()>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, whole).unwrap();
    read(&path).unwrap();
    let header = lengths(whole.len().min(3000), 150);
    for length in header
        .chain(lengths(whole.len(), 100))
        .chain(whole.len().saturating_sub(40)..whole.len())
    {
        fs::write(&path, &whole[..length]).unwrap();
        let line = line(read(&path));
        assert!(!line.contains("cannot read it: "), "{length}: {line}");
    }
}

#[test]
fn cut_files_are_told() {
    let checkpoint = |path: &Path| Checkpoint::open(path.parent().unwrap()).map(|_| ());
    let whole = fs::read(fixture("pix2struct/safetensors/model.safetensors")).unwrap();
    cut("model.safetensors", &whole, checkpoint);
    let whole = fs::read(fixture("pix2struct/pytorch/pytorch_model.bin")).unwrap();
    cut("pytorch_model.bin", &whole, checkpoint);
    let mut gguf = Gguf::new();
    gguf.tensor("a", &[4], 0);
    cut("model.gguf", &gguf.bytes(16), checkpoint);
    let parent = |path: &Path| path.parent().unwrap().to_owned();
    let whole = fs::read_to_string(fixture("pix2struct/safetensors/config.json")).unwrap();
    cut("config.json", whole.trim_end().as_bytes(), |path| {
        pix2struct::Config::read(&parent(path)).map(|_| ())
    });
    let whole = fs::read_to_string(fixture("donut/safetensors/config.json")).unwrap();
    cut("config.json", whole.trim_end().as_bytes(), |path| {
        donut::Config::read(&parent(path)).map(|_| ())
    });
}

#[test]
fn sizes_of_a_configuration_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    let whole = fs::read_to_string(fixture("pix2struct/safetensors/config.json")).unwrap();
    for key in [
        "num_heads",
        "d_kv",
        "hidden_size",
        "num_layers",
        "vocab_size",
        "seq_len",
    ] {
        let start = whole.find(&format!("\"{key}\": ")).unwrap() + key.len() + 4;
        let end = start + whole[start..].find([',', '\n']).unwrap();
        fs::write(
            &path,
            format!("{}{}{}", &whole[..start], u64::MAX / 2, &whole[end..]),
        )
        .unwrap();
        let line = line(pix2struct::Config::read(dir.path()));
        assert!(
            line.contains(&format!("{key} is {}: must be from 1 to ", u64::MAX / 2)),
            "{line}"
        );
    }
}
