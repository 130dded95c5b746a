//! What was segmented, as the files that are written refer to it.

use serde::Deserialize;

use crate::dataset::{DataSet, Tag};
use crate::error::{Result, fail};
use crate::uid::Uids;

/// A DICOM series that was segmented.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// Patient and study, as text by keyword; what is missing is written empty.
    #[serde(default)]
    pub study: StudyText,
    /// Study instance UID.
    pub study_uid: String,
    /// Series instance UID.
    pub series_uid: String,
    /// Frame of reference UID; images without a place have none.
    #[serde(default)]
    pub frame_of_reference: Option<String>,
    /// Columns and rows.
    pub size: [usize; 2],
    /// Directions of a row's and of a column's pixels, LPS.
    #[serde(default)]
    pub orientation: Option<[f64; 6]>,
    /// Distance of rows, distance of columns, mm.
    #[serde(default)]
    pub spacing: Option<[f64; 2]>,
    /// Thickness of a slice, mm.
    #[serde(default)]
    pub thickness: Option<f64>,
    /// The frames, in the order of the masks.
    pub frames: Vec<Frame>,
}

/// Patient and study.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct StudyText {
    pub patient_name: String,
    pub patient_id: String,
    pub patient_birth_date: String,
    pub patient_sex: String,
    pub study_date: String,
    pub study_time: String,
    pub study_id: String,
    pub study_description: String,
    pub accession_number: String,
    pub referring_physician_name: String,
    pub position_reference_indicator: String,
    /// What the text is encoded in, such as `ISO_IR 192`.
    pub character_set: String,
    pub patient_orientation: String,
}

/// A frame that was segmented.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Frame {
    /// SOP class UID of its file.
    pub sop_class: String,
    /// SOP instance UID of its file.
    pub sop_instance: String,
    /// Its number in a file of several, from 1.
    #[serde(default)]
    pub number: Option<u32>,
    /// Place of the first pixel's middle, mm, LPS.
    #[serde(default)]
    pub position: Option<[f64; 3]>,
}

/// An attribute of text: its tag and VR, and where its value is.
type Text = (Tag, &'static str, fn(&StudyText) -> &str);

/// Patient and study.
const TEXT: [Text; 10] = [
    ((0x0010, 0x0010), "PN", |text| &text.patient_name),
    ((0x0010, 0x0020), "LO", |text| &text.patient_id),
    ((0x0010, 0x0030), "DA", |text| &text.patient_birth_date),
    ((0x0010, 0x0040), "CS", |text| &text.patient_sex),
    ((0x0008, 0x0020), "DA", |text| &text.study_date),
    ((0x0008, 0x0030), "TM", |text| &text.study_time),
    ((0x0020, 0x0010), "SH", |text| &text.study_id),
    ((0x0008, 0x1030), "LO", |text| &text.study_description),
    ((0x0008, 0x0050), "SH", |text| &text.accession_number),
    ((0x0008, 0x0090), "PN", |text| &text.referring_physician_name),
];

impl Source {
    /// Whether its frames have places in space, and so what is written.
    pub fn is_placed(&self) -> bool {
        self.frame_of_reference.is_some()
            && self.orientation.is_some()
            && self.spacing.is_some()
            && self.frames.iter().all(|frame| frame.position.is_some())
    }

    /// The same in a frame of reference of its own, where it has no place.
    pub(crate) fn placed_somewhere(&self, uids: &Uids) -> Self {
        if self.is_placed() {
            return self.clone();
        }
        let place =
            |(index, frame): (usize, &Frame)| Frame { position: Some([0.0, 0.0, index as f64]), ..frame.clone() };
        Self {
            frame_of_reference: Some(uids.get("frame of reference")),
            orientation: Some([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
            spacing: Some(self.spacing.unwrap_or([1.0, 1.0])),
            frames: self.frames.iter().enumerate().map(place).collect(),
            ..self.clone()
        }
    }

    /// Pixels of a frame.
    pub fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// # Errors
    /// If sizes are impossible, or UIDs are missing or no UIDs.
    pub fn check(&self) -> Result<()> {
        let [columns, rows] = self.size;
        if columns == 0 || rows == 0 || columns > 65_535 || rows > 65_535 {
            return fail(format!("the images have {columns}×{rows} pixels; DICOM holds 1 to 65535 a side"));
        }
        if self.frames.is_empty() {
            return fail("the source has no frames");
        }
        let series = [("study instance", &self.study_uid), ("series instance", &self.series_uid)].into_iter();
        let place = self.frame_of_reference.iter().map(|uid| ("frame of reference", uid));
        let frames = self
            .frames
            .iter()
            .flat_map(|frame| [("SOP class", &frame.sop_class), ("SOP instance", &frame.sop_instance)]);
        let is_uid = |uid: &str| {
            !uid.is_empty() && uid.len() <= 64 && uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        match series.chain(place).chain(frames).find(|(_, uid)| !is_uid(uid)) {
            Some((name, uid)) => fail(format!(
                "the source's {name} UID is {uid:?}, which is none; a DICOM file cannot refer to it: write NIfTI, .seg.nrrd or outlines instead"
            )),
            None => Ok(()),
        }
    }

    /// Modules Patient, General Study and Frame of Reference.
    pub(crate) fn context(&self) -> DataSet {
        let mut set = DataSet::default().text((0x0020, 0x000d), "UI", &self.study_uid);
        for (tag, vr, get) in TEXT {
            // Sources say more than fits; what refers to them is to be valid all the same.
            let most = match vr {
                "SH" | "CS" => 16,
                "LO" => 64,
                _ => usize::MAX,
            };
            set = set.text(tag, vr, get(&self.study).chars().take(most).collect::<String>());
        }
        if !self.study.character_set.is_empty() {
            set = set.text((0x0008, 0x0005), "CS", &self.study.character_set);
        }
        match &self.frame_of_reference {
            Some(uid) if self.is_placed() => set.text((0x0020, 0x0052), "UI", uid).text(
                (0x0020, 0x1040),
                "LO",
                &self.study.position_reference_indicator,
            ),
            _ => set,
        }
    }

    /// References to the series and to every file of it.
    pub(crate) fn references(&self) -> DataSet {
        let mut instances: Vec<&Frame> = Vec::new();
        for frame in &self.frames {
            if !instances.iter().any(|other| other.sop_instance == frame.sop_instance) {
                instances.push(frame);
            }
        }
        let series = DataSet::default()
            .text((0x0020, 0x000e), "UI", &self.series_uid)
            .items((0x0008, 0x114a), instances.into_iter().map(|frame| reference(frame, false)).collect());
        DataSet::default().item((0x0008, 0x1115), series)
    }
}

/// A reference to a file, or to a frame of it.
pub(crate) fn reference(frame: &Frame, with_number: bool) -> DataSet {
    let set = DataSet::default().text((0x0008, 0x1150), "UI", &frame.sop_class).text(
        (0x0008, 0x1155),
        "UI",
        &frame.sop_instance,
    );
    match frame.number.filter(|_| with_number) {
        Some(number) => set.text((0x0008, 0x1160), "IS", number.to_string()),
        None => set,
    }
}
