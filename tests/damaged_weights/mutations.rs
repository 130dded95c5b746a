//! Damage to weight files, from a seed.

use serde_json::{Map, Value, json};

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

#[derive(Clone)]
pub struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    data: Vec<u8>,
}

/// A safetensors file in parts.
#[derive(Clone)]
pub struct File {
    metadata: Map<String, Value>,
    tensors: Vec<Tensor>,
}

impl File {
    pub fn read(bytes: &[u8]) -> Self {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Map<String, Value> = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let Some(Value::Object(metadata)) = header.remove("__metadata__") else { panic!("there is no metadata") };
        let tensor = |(name, entry): (String, Value)| {
            let offset = |end: usize| 8 + length + entry["data_offsets"][end].as_u64().unwrap() as usize;
            Tensor {
                name,
                dtype: entry["dtype"].as_str().unwrap().into(),
                shape: entry["shape"].as_array().unwrap().iter().map(|side| side.as_u64().unwrap()).collect(),
                data: bytes[offset(0)..offset(1)].to_vec(),
            }
        };
        Self { metadata, tensors: header.into_iter().map(tensor).collect() }
    }

    /// The header as it should be, and what follows it.
    fn parts(&self) -> (Map<String, Value>, Vec<u8>) {
        let (mut header, mut data) = (Map::new(), Vec::new());
        header.insert("__metadata__".into(), self.metadata.clone().into());
        for tensor in &self.tensors {
            let begin = data.len();
            data.extend(&tensor.data);
            let offsets = [begin, data.len()];
            let entry = json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets });
            header.insert(tensor.name.clone(), entry);
        }
        (header, data)
    }
}

fn written(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

/// Values that nobody means.
fn odd(random: &mut Random) -> Value {
    match random.below(16) {
        0 => json!(0),
        1 => json!(-1),
        2 => json!(1),
        3 => json!(random.below(40)),
        4 => json!(random.below(5000)),
        5 => json!(1u64 << random.below(64)),
        6 => json!(u64::MAX),
        7 => json!(1e300),
        8 => json!(-1e300),
        9 => json!(1e-300),
        10 => json!(random.below(1000) as f64 / 500.0 - 0.5),
        11 => Value::Null,
        12 => json!(["x", "F8_E4M3", "", "NaN", "tiny", "single"][random.below(6)]),
        13 => json!([]),
        14 => json!({ "unknown": 1 }),
        _ => json!([random.next(), -2.5, null]),
    }
}

/// Changes a value somewhere within another.
fn damage(value: &mut Value, random: &mut Random) {
    match value {
        Value::Object(fields) if !fields.is_empty() && random.below(8) > 0 => {
            let keys: Vec<String> = fields.keys().cloned().collect();
            let key = random.of(&keys).clone();
            match random.below(12) {
                0 => drop(fields.remove(&key)),
                1 => drop(fields.insert("unknown".into(), odd(random))),
                _ => damage(&mut fields[&key], random),
            }
        }
        Value::Array(items) if !items.is_empty() && random.below(8) > 0 => {
            let item = random.below(items.len());
            match random.below(6) {
                0 => drop(items.remove(item)),
                1 => items.push(items[item].clone()),
                2 => items.reverse(),
                _ => damage(&mut items[item], random),
            }
        }
        Value::Number(number) if random.below(3) == 0 => {
            let factor = [2.0, 0.5, -1.0, 3.0][random.below(4)];
            let changed = number.as_f64().unwrap_or(1.0) * factor;
            *value = if number.is_u64() && changed >= 0.0 { json!(changed as u64) } else { json!(changed) };
        }
        other => *other = odd(random),
    }
}

/// Gives a number somewhere within a value another small size.
pub fn resize(value: &mut Value, random: &mut Random) {
    match value {
        Value::Object(fields) => {
            let keys: Vec<String> = fields.keys().cloned().collect();
            resize(&mut fields[random.of(&keys)], random);
        }
        Value::Array(items) if !items.is_empty() => {
            let item = random.below(items.len());
            resize(&mut items[item], random);
        }
        Value::Number(_) => {
            *value = json!([0, 1, 2, 3, 5, 7, 8, 12, 16, 24, 32, 33, 40, 64, 96, 128][random.below(16)])
        }
        _ => {}
    }
}

const TYPES: [&str; 13] =
    ["F32", "F16", "BF16", "F64", "I8", "U8", "I16", "U16", "I32", "I64", "U64", "BOOL", "F8_E4M3"];

fn bytes_of(dtype: &str) -> u64 {
    match dtype {
        "F64" | "I64" | "U64" => 8,
        "F32" | "I32" => 4,
        "F16" | "BF16" | "I16" | "U16" => 2,
        _ => 1,
    }
}

/// A tensor whose header is right for its bytes, which are wrong for the network.
fn damage_tensor(tensor: &mut Tensor, random: &mut Random) -> &'static str {
    match random.below(7) {
        0 => {
            let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 0.0, 1e-42];
            let value = *random.of(&values);
            let half = half(value);
            match tensor.dtype.as_str() {
                "F32" => tensor.data.as_chunks_mut::<4>().0.fill(value.to_le_bytes()),
                "F16" => tensor.data.as_chunks_mut::<2>().0.fill(half.to_le_bytes()),
                _ => tensor.data.fill(0x80),
            }
            "one value"
        }
        1 => {
            for byte in &mut tensor.data {
                *byte = random.next() as u8;
            }
            "noise"
        }
        2 => {
            for _ in 0..1 + random.below(4) {
                let place = random.below(tensor.data.len());
                if let Some(byte) = tensor.data.get_mut(place) {
                    *byte = random.next() as u8;
                }
            }
            "some bytes"
        }
        3 => {
            tensor.dtype = random.of(&TYPES).to_string();
            let bytes = tensor.shape.iter().product::<u64>() * bytes_of(&tensor.dtype);
            tensor.data.resize(bytes as usize, 0x3c);
            "another type"
        }
        4 => {
            tensor.shape.reverse();
            "a turned shape"
        }
        5 => {
            let side = random.below(tensor.shape.len());
            if let Some(side) = tensor.shape.get_mut(side) {
                *side = [0, 1, *side + 1, *side * 2][random.below(4)];
            }
            let bytes = tensor.shape.iter().product::<u64>() * bytes_of(&tensor.dtype);
            tensor.data.resize(bytes as usize, 0x3c);
            "another shape"
        }
        _ => {
            match random.below(3) {
                0 => tensor.shape.insert(0, 1),
                1 => tensor.shape.push(1),
                _ => tensor.shape = vec![tensor.shape.iter().product()],
            }
            "other dimensions"
        }
    }
}

/// The nearest number of 16 bits for the few that are asked for.
fn half(value: f32) -> u16 {
    match value {
        value if value.is_nan() => 0x7e00,
        value if value > 65504.0 => 0x7c00,
        value if value < -65504.0 => 0xfc00,
        _ => 0,
    }
}

fn damage_metadata(file: &mut File, random: &mut Random) -> &'static str {
    let inside = match random.below(8) {
        0..3 => Some("umedsam.config"),
        3..6 => Some("umedsam.calibration"),
        _ => None,
    };
    if let Some(text) = inside.and_then(|key| file.metadata.get_mut(key)) {
        let mut value: Value = text.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        damage(&mut value, random);
        // As Rust and JavaScript would not write them, but others do.
        let written = value.to_string().replace("\"NaN\"", "NaN");
        *text = written.into();
        return inside.unwrap();
    }
    let keys: Vec<String> = file.metadata.keys().cloned().collect();
    let key = random.of(&keys).clone();
    match random.below(4) {
        0 => drop(file.metadata.remove(&key)),
        1 => drop(file.metadata.insert(key, odd(random))),
        2 => drop(file.metadata.insert("umedsam.training".into(), odd(random).to_string().into())),
        _ => drop(file.metadata.insert(key, odd(random).to_string().into())),
    }
    "metadata"
}

/// A header whose entries do not fit what follows.
fn damage_header(header: &mut Map<String, Value>, random: &mut Random) -> &'static str {
    let names: Vec<String> = header.keys().filter(|name| *name != "__metadata__").cloned().collect();
    let name = random.of(&names).clone();
    match random.below(6) {
        0 => {
            let mut entry = header.remove(&name).unwrap_or_default();
            damage(&mut entry, random);
            header.insert(name, entry);
            "an entry"
        }
        1 => {
            let entry = header.remove(&name).unwrap_or_default();
            let other =
                [format!("{name}.scale"), name.replace("weight", "bias"), String::new(), "\u{0}\u{1f600}".repeat(90)];
            header.insert(random.of(&other).clone(), entry);
            "a name"
        }
        2 => {
            let other = random.of(&names).clone();
            let (a, b) = (header[&name].clone(), header[&other].clone());
            header.insert(name, b);
            header.insert(other, a);
            "two names"
        }
        3 => {
            let place = random.below(2);
            header[&name]["data_offsets"][place] = odd(random);
            "an offset"
        }
        4 => {
            header[&name]["shape"] = match random.below(3) {
                0 => json!([1u64 << 40, 1u64 << 40]),
                1 => json!([0, u64::MAX]),
                _ => json!(vec![2; 70]),
            };
            "a huge shape"
        }
        _ => {
            header.insert("__metadata__".into(), odd(random));
            "the metadata as a whole"
        }
    }
}

/// A file with damage, and what it is.
pub fn damaged(file: &File, random: &mut Random) -> (String, Vec<u8>) {
    let mut file = file.clone();
    let mut what = Vec::new();
    for _ in 0..1 + random.below(2) {
        match random.below(10) {
            0..4 => what.push(damage_metadata(&mut file, random).to_string()),
            4..7 => {
                let tensor = random.below(file.tensors.len());
                let tensor = &mut file.tensors[tensor];
                what.push(format!("{} in {}", damage_tensor(tensor, random), tensor.name));
            }
            7 => {
                let tensor = random.below(file.tensors.len());
                let removed = file.tensors.remove(tensor);
                what.push(format!("without {}", removed.name));
            }
            8 => {
                let tensor = random.of(&file.tensors).clone();
                file.tensors.push(Tensor { name: "another".into(), ..tensor });
                what.push("another tensor".into());
            }
            _ => {}
        }
    }
    let (mut header, mut data) = file.parts();
    if random.below(5) == 0 {
        what.push(damage_header(&mut header, random).into());
    }
    let mut text = serde_json::to_vec(&header).unwrap();
    match random.below(24) {
        0 => data.truncate(random.below(data.len())),
        1 => data.extend(vec![7; random.below(5000)]),
        2 => {
            let place = random.below(text.len());
            text[place] = random.next() as u8;
            what.push("a byte of the header".into());
        }
        3 => {
            let depth = 1 + random.below(100_000);
            text = [b"{\"a\":".as_slice(), &b"[".repeat(depth), &b"]".repeat(depth), b"}"].concat();
            what.push("a deep header".into());
        }
        _ => {}
    }
    let mut bytes = written(&text, &data);
    match random.below(40) {
        0 => bytes.truncate(random.below(bytes.len())),
        1 => bytes[..8].copy_from_slice(&(1u64 << random.below(64)).to_le_bytes()),
        _ => {}
    }
    (what.join(", "), bytes)
}
