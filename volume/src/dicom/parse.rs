//! Data sets: tags and values (PS3.5, section 7). Values are kept but for pixels and other long ones, whose places are.

use std::collections::BTreeMap;
use std::io::SeekFrom;

use super::stream::Bytes;

/// Group and element number.
pub(super) type Tag = u32;

pub(super) const PIXELS: Tag = 0x7fe0_0010;
pub(super) const FLOATS: Tag = 0x7fe0_0008;
pub(super) const DOUBLES: Tag = 0x7fe0_0009;

const ITEM: Tag = 0xfffe_e000;
const ITEM_END: Tag = 0xfffe_e00d;
const SEQUENCE_END: Tag = 0xfffe_e0dd;
const UNDEFINED: u32 = u32::MAX;

/// Sequences that are read, also where the file does not say that they are some: of functional groups (PS3.3, C.7.6.16) and the modality table (C.11.1).
const SEQUENCES: [Tag; 8] =
    [0x0028_3000, 0x5200_9229, 0x5200_9230, 0x0020_9113, 0x0020_9116, 0x0028_9110, 0x0028_9145, 0x0028_9132];

/// Values longer than this are not needed: the longest is a table of 65536 entries, in segments perhaps.
const LONGEST_VALUE: u64 = 1 << 20;

/// How deep sequences may be in others.
const DEEPEST: usize = 32;

/// A part of coded pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Where its item begins, counted from the first's.
    pub offset: u64,
    pub begin: u64,
    pub end: u64,
}

/// A value.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// VR; 0 where the file does not say.
    pub vr: [u8; 2],
    /// Where its bytes are in the file.
    pub begin: u64,
    pub end: u64,
    /// Its bytes, if they are not too long.
    pub bytes: Vec<u8>,
    /// The items of a sequence.
    pub items: Vec<DataSet>,
    /// Offsets and fragments of coded pixels.
    pub offsets: Vec<u32>,
    pub fragments: Vec<Fragment>,
}

/// Values by tag.
#[derive(Debug, Default)]
pub(super) struct DataSet {
    pub elements: BTreeMap<Tag, Element>,
    pub is_big_endian: bool,
}

/// How a data set is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoding {
    pub is_implicit: bool,
    pub is_big_endian: bool,
}

/// What is wrong, in words.
pub(super) type Parsed<T> = Result<T, String>;

/// Reads elements one after the other.
pub(super) struct Parser<'a> {
    bytes: &'a mut dyn Bytes,
    at: u64,
    end: u64,
}

struct Header {
    tag: Tag,
    vr: [u8; 2],
    length: u32,
}

impl<'a> Parser<'a> {
    /// Of bytes from a place on; `end` is their length.
    pub(super) fn new(bytes: &'a mut dyn Bytes, begin: u64, end: u64) -> Parsed<Self> {
        let mut parser = Self { bytes, at: 0, end };
        parser.go_to(begin)?;
        Ok(parser)
    }

    fn go_to(&mut self, place: u64) -> Parsed<()> {
        self.at = self.bytes.seek(SeekFrom::Start(place)).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        if self.at + N as u64 > self.end {
            return Err(format!("it ends at {} of {} bytes", self.end, self.at + N as u64));
        }
        let mut array = [0; N];
        self.bytes.read_exact(&mut array).map_err(|error| error.to_string())?;
        self.at += N as u64;
        Ok(array)
    }

    fn value(&mut self, length: u64) -> Parsed<Vec<u8>> {
        if self.at.checked_add(length).is_none_or(|end| end > self.end) {
            return Err(format!("a value of {length} bytes at {} goes past its end at {}", self.at, self.end));
        }
        let mut value = vec![0; length as usize];
        self.bytes.read_exact(&mut value).map_err(|error| error.to_string())?;
        self.at += length;
        Ok(value)
    }

    fn u16(&mut self, encoding: Encoding) -> Parsed<u16> {
        let bytes = self.array()?;
        Ok(if encoding.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&mut self, encoding: Encoding) -> Parsed<u32> {
        let bytes = self.array()?;
        Ok(if encoding.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn tag(&mut self, encoding: Encoding) -> Parsed<Tag> {
        Ok(u32::from(self.u16(encoding)?) << 16 | u32::from(self.u16(encoding)?))
    }

    fn header(&mut self, encoding: Encoding) -> Parsed<Header> {
        let tag = self.tag(encoding)?;
        // Items have no VR.
        if encoding.is_implicit || tag >> 16 == 0xfffe {
            return Ok(Header { tag, vr: [0; 2], length: self.u32(encoding)? });
        }
        let vr: [u8; 2] = self.array()?;
        let length = match &vr {
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV" => {
                self.u16(encoding)?;
                self.u32(encoding)?
            }
            _ => u32::from(self.u16(encoding)?),
        };
        Ok(Header { tag, vr, length })
    }

    /// The file meta information (PS3.10, section 7.1), and where it ends.
    pub(super) fn meta(&mut self) -> Parsed<(DataSet, u64)> {
        let encoding = Encoding { is_implicit: false, is_big_endian: false };
        let mut set = DataSet::default();
        loop {
            let begin = self.at;
            if begin + 8 > self.end {
                return Ok((set, begin));
            }
            let header = self.header(encoding)?;
            if header.tag >> 16 != 2 {
                return Ok((set, begin));
            }
            let element = self.element(&header, encoding, 0)?;
            set.elements.insert(header.tag, element);
        }
    }

    /// Elements up to the end of the bytes. What comes before damage is there, and what the damage is.
    pub(super) fn whole(&mut self, encoding: Encoding) -> (DataSet, Parsed<()>) {
        let mut set = DataSet { is_big_endian: encoding.is_big_endian, ..DataSet::default() };
        let outcome = self.elements(&mut set, self.end, false, encoding, 0);
        (set, outcome)
    }

    fn elements(&mut self, set: &mut DataSet, end: u64, is_item: bool, encoding: Encoding, depth: usize) -> Parsed<()> {
        while self.at < end {
            let header = self.header(encoding)?;
            if is_item && header.tag == ITEM_END {
                return Ok(());
            }
            let element = self.element(&header, encoding, depth)?;
            set.elements.insert(header.tag, element);
        }
        Ok(())
    }

    fn element(&mut self, &Header { tag, vr, length }: &Header, encoding: Encoding, depth: usize) -> Parsed<Element> {
        let begin = self.at;
        let mut element = Element { vr, begin, end: begin, ..Element::default() };
        let is_pixels = matches!(tag, PIXELS | FLOATS | DOUBLES) && depth == 0;
        // What is unknown to who wrote it is written without VRs (PS3.5, section 6.2.2).
        let within = if &vr == b"UN" { Encoding { is_implicit: true, is_big_endian: false } } else { encoding };
        if length == UNDEFINED {
            if tag == PIXELS && &vr != b"SQ" {
                self.fragments(&mut element, encoding)?;
            } else {
                element.items = self.items(self.end, within, depth + 1)?;
            }
            element.end = self.at;
            return Ok(element);
        }
        let length = u64::from(length);
        element.end = begin + length;
        if is_pixels {
            // Cut off, perhaps: whoever needs the pixels looks.
            element.end = element.end.min(self.end);
            self.go_to(element.end)?;
            return Ok(element);
        }
        if element.end > self.end {
            return Err(format!("a value of {length} bytes at {begin} goes past its end at {}", self.end));
        }
        if SEQUENCES.contains(&tag) {
            element.items = self.items(element.end, within, depth + 1)?;
            self.go_to(element.end)?;
        } else if length > LONGEST_VALUE || &vr == b"SQ" {
            self.go_to(element.end)?;
        } else {
            element.bytes = self.value(length)?;
        }
        Ok(element)
    }

    /// The items of a sequence, up to a place or to its end.
    fn items(&mut self, end: u64, encoding: Encoding, depth: usize) -> Parsed<Vec<DataSet>> {
        if depth > DEEPEST {
            return Err(format!("its sequences are more than {DEEPEST} deep"));
        }
        let mut items = Vec::new();
        while self.at < end {
            let header = self.header(encoding)?;
            match header.tag {
                SEQUENCE_END => break,
                ITEM => {}
                tag => return Err(format!("a sequence has {} where an item begins, at {}", named(tag), self.at)),
            }
            let mut item = DataSet { is_big_endian: encoding.is_big_endian, ..DataSet::default() };
            if header.length == UNDEFINED {
                self.elements(&mut item, end, true, encoding, depth)?;
            } else {
                let item_end = self.at + u64::from(header.length);
                if item_end > end {
                    return Err(format!("an item of {} bytes at {} goes past its sequence", header.length, self.at));
                }
                self.elements(&mut item, item_end, true, encoding, depth)?;
                self.go_to(item_end)?;
            }
            items.push(item);
        }
        Ok(items)
    }

    /// Coded pixels: a table of offsets, which may be empty, and fragments (PS3.5, annex A.4). The last fragment may be cut off.
    fn fragments(&mut self, element: &mut Element, encoding: Encoding) -> Parsed<()> {
        let table = self.header(encoding)?;
        if table.tag != ITEM || table.length == UNDEFINED {
            return Err(format!("coded pixels begin with {}", named(table.tag)));
        }
        let table = self.value(u64::from(table.length))?;
        let (entries, _) = table.as_chunks::<4>();
        element.offsets = entries.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        let first = self.at;
        while self.at < self.end {
            let offset = self.at - first;
            let header = self.header(encoding)?;
            if header.tag != ITEM {
                // The end, or bytes that are in no standard.
                break;
            }
            let (begin, end) = (self.at, (self.at + u64::from(header.length)).min(self.end));
            element.fragments.push(Fragment { offset, begin, end });
            self.go_to(end)?;
        }
        Ok(())
    }
}

fn named(tag: Tag) -> String {
    format!("({:04X},{:04X})", tag >> 16, tag & 0xffff)
}
