//! Faults of every kind for a data set, each with the finding it must give.

use std::fs;
use std::path::{Path, PathBuf};

use chartbench_data::lint::FindingKind;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use serde_json::{Value, json};

/// FindingKind, the question's or the chart's id, and the id of what it collides with.
pub(crate) type Expected = Vec<(FindingKind, String, Option<String>)>;

/// What was planted.
#[derive(Default)]
pub(crate) struct Planted {
    pub expected: Expected,
}

impl Planted {
    fn chart(&mut self, kind: FindingKind, id: &str, other: Option<&str>) {
        self.expected
            .push((kind, id.to_owned(), other.map(str::to_owned)));
    }
}

/// Ways to make a near copy.
const COPIES: [fn(&RgbImage) -> Vec<u8>; 6] = [
    |image| jpeg(image, 70),
    |image| {
        png(&imageops::resize(
            image,
            image.width() * 4 / 5,
            image.height() * 4 / 5,
            FilterType::Lanczos3,
        ))
    },
    |image| {
        png(&imageops::resize(
            image,
            image.width() * 4 / 5,
            image.height() * 4 / 5,
            FilterType::Triangle,
        ))
    },
    |image| png(&imageops::colorops::brighten(image, 12)),
    |image| png(&bordered(image, 1, Rgb([0, 0, 0]))),
    |image| png(&bordered(image, 2, Rgb([255, 255, 255]))),
];

/// Golds that were cut off.
const TRUNCATED: [&str; 7] = [
    "Cases (per year",
    "[2013, 2016",
    "they say \"yes",
    "Don't kno...",
    "Other causes…",
    "A, B,",
    "Total<0x0A>",
];

/// Golds that say nothing.
fn empty() -> [Value; 5] {
    [
        json!(""),
        json!("  "),
        json!("[]"),
        json!([]),
        json!(["a", " "]),
    ]
}

fn jpeg(image: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(image)
        .unwrap();
    bytes
}

fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn bordered(image: &RgbImage, width: u32, colour: Rgb<u8>) -> RgbImage {
    let mut larger = RgbImage::from_pixel(
        image.width() + 2 * width,
        image.height() + 2 * width,
        colour,
    );
    imageops::replace(&mut larger, image, width.into(), width.into());
    larger
}

fn read(path: &Path) -> RgbImage {
    chartbench_pixels::decode(&fs::read(path).unwrap(), "planting").unwrap()
}

pub(crate) fn save(image: &RgbImage, path: &Path) {
    fs::write(path, png(image)).unwrap();
}

/// A synthetic data set in RealCQA's layout.
pub(crate) struct RealCqa {
    dir: PathBuf,
    /// The ids of the charts of either split, in order.
    train: Vec<String>,
    test: Vec<String>,
}

impl RealCqa {
    pub(crate) fn new(dir: &Path) -> Self {
        let tests = fs::read_to_string(dir.join("test_filenames.txt")).unwrap();
        let test: Vec<String> = tests.lines().map(str::to_owned).collect();
        let names = fs::read_dir(dir.join("qa"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut train: Vec<String> = names
            .map(|name| name.replace(".json", ""))
            .filter(|id| !test.contains(id))
            .collect();
        train.sort();
        Self {
            dir: dir.to_owned(),
            train,
            test,
        }
    }

    fn image(&self, id: &str) -> PathBuf {
        self.dir.join(format!("images/{id}.png"))
    }

    /// Adds a question to a chart and gives its id.
    fn ask(
        &self,
        chart: &str,
        number: usize,
        question: &str,
        template: &str,
        answer: Value,
    ) -> String {
        let path = self.dir.join(format!("qa/{chart}.json"));
        let mut records: Vec<Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        records.push(json!({
            "taxonomy id": "2z", "QID": template, "question": question, "answer": answer,
            "answer_type": "String", "qa_id": format!("p{number}"), "PMC_ID": chart,
        }));
        fs::write(&path, serde_json::to_vec(&records).unwrap()).unwrap();
        format!("{chart}/p{number}")
    }

    pub(crate) fn plant(&self) -> Planted {
        let mut planted = Planted::default();
        self.plant_images(&mut planted);
        self.plant_questions(&mut planted);
        planted
    }

    fn plant_images(&self, planted: &mut Planted) {
        let mut tests = self.test.iter();
        let mut next = || tests.next().unwrap().as_str();
        let missing = next();
        fs::remove_file(self.image(missing)).unwrap();
        planted.chart(FindingKind::MissingImage, missing, None);
        let cut = fs::read(self.image(next())).unwrap();
        for bytes in [
            cut[..cut.len() / 2].to_vec(),
            b"<html>not found</html>".to_vec(),
            Vec::new(),
            png(&RgbImage::from_pixel(300, 200, Rgb([255; 3]))),
            png(&RgbImage::new(300, 2)),
        ] {
            let broken = next();
            fs::write(self.image(broken), bytes).unwrap();
            planted.chart(FindingKind::BrokenImage, broken, None);
        }
        let (first, second) = (next(), next());
        fs::copy(self.image(first), self.image(second)).unwrap();
        planted.chart(FindingKind::DoubledImage, second, Some(first));
        let (first, second) = (next(), next());
        save(&read(&self.image(first)), &self.image(second));
        planted.chart(FindingKind::DoubledImage, second, Some(first));
        for copy in COPIES {
            let (first, second) = (next(), next());
            fs::write(self.image(second), copy(&read(&self.image(first)))).unwrap();
            planted.chart(FindingKind::NearIdenticalImage, second, Some(first));
        }
        let leaks: [fn(&RgbImage) -> Vec<u8>; 3] = [png, |image| jpeg(image, 80), COPIES[2]];
        for (train, leak) in self.train.iter().zip(leaks) {
            let test = next();
            fs::write(self.image(test), leak(&read(&self.image(train)))).unwrap();
            planted.chart(FindingKind::ChartInTrainAndTest, test, Some(train));
        }
        let (train, test) = (&self.train[10], next());
        fs::copy(self.image(train), self.image(test)).unwrap();
        planted.chart(FindingKind::ChartInTrainAndTest, test, Some(train));
    }

    fn plant_questions(&self, planted: &mut Planted) {
        let mut tests = self.test.iter().skip(60);
        let mut next = || tests.next().unwrap().as_str();
        for (kind, text, gold) in [
            (
                FindingKind::DuplicateQuestion,
                " how  many BARS are planted? ",
                "Four",
            ),
            (
                FindingKind::ConflictingQuestion,
                "How many bars are planted?",
                "five",
            ),
        ] {
            let chart = next();
            let first = self.ask(chart, 1, "How many bars are planted?", "90", json!("four"));
            let second = self.ask(chart, 2, text, "90", json!(gold));
            planted.chart(kind, &second, Some(&first));
        }
        for gold in empty() {
            planted.chart(
                FindingKind::EmptyGold,
                &self.ask(next(), 1, "What is empty?", "91", gold),
                None,
            );
        }
        for gold in TRUNCATED {
            planted.chart(
                FindingKind::TruncatedGold,
                &self.ask(next(), 1, "What is cut?", "92", json!(gold)),
                None,
            );
        }
        let chart = next();
        let cut = self.ask(chart, 1, "What is cut?", "92", json!("Number of new infec"));
        self.ask(
            chart,
            2,
            "What is whole?",
            "92",
            json!("Number of new infections a year"),
        );
        planted.chart(FindingKind::TruncatedGold, &cut, None);
        planted.chart(
            FindingKind::UnmatchableGold,
            &self.ask(next(), 1, "What is no number?", "93", json!("nan")),
            None,
        );

        self.ask(
            &self.train[20],
            1,
            "Who planted this?",
            "94",
            json!("a gardener"),
        );
        let asked: Vec<String> = (0..25)
            .map(|number| {
                let gold = if number < 2 { "nobody" } else { "A gardener" };
                self.ask(
                    next(),
                    1,
                    &format!("Who planted number {number}?"),
                    "94",
                    json!(gold),
                )
            })
            .collect();
        planted.chart(FindingKind::GivenAway, &asked[0], None);
        // One in two is no fault.
        for number in 0..30 {
            self.ask(
                next(),
                1,
                "Is it planted?",
                "95",
                json!(if number % 2 == 0 { "yes" } else { "no" }),
            );
        }
    }
}

/// A data set in ChartQA's layout, without a train split.
pub(crate) struct ChartQa {
    dir: PathBuf,
    test: Vec<Value>,
    train: Vec<Value>,
}

impl ChartQa {
    /// Copies the data set at `from` into `dir`.
    pub(crate) fn copy(from: &Path, dir: &Path) -> Self {
        fs::create_dir(dir.join("png")).unwrap();
        for entry in fs::read_dir(from.join("png")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, dir.join("png").join(path.file_name().unwrap())).unwrap();
        }
        fs::copy(
            from.join("test_augmented.json"),
            dir.join("test_augmented.json"),
        )
        .unwrap();
        let test =
            serde_json::from_slice(&fs::read(from.join("test_human.json")).unwrap()).unwrap();
        Self {
            dir: dir.to_owned(),
            test,
            train: Vec::new(),
        }
    }

    fn image(&self, name: &str) -> PathBuf {
        self.dir.join("png").join(name)
    }

    /// Adds a test question and gives its id.
    fn ask(&mut self, image: &str, question: &str, label: &str) -> String {
        self.test
            .push(json!({"imgname": image, "query": question, "label": label}));
        format!("human/{}", self.test.len() - 1)
    }

    pub(crate) fn plant(mut self) -> Planted {
        let mut names: Vec<String> = Vec::new();
        for record in &self.test {
            let name = record["imgname"].as_str().unwrap().to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut planted = Planted::default();
        self.plant_images(&names, &mut planted);
        self.plant_train(&names[20..], &mut planted);
        self.plant_questions(&names, &mut planted);
        let files = [
            ("test_human", &self.test),
            ("train_human", &self.train),
            ("train_augmented", &Vec::new()),
        ];
        for (name, records) in files {
            fs::write(
                self.dir.join(format!("{name}.json")),
                serde_json::to_vec(records).unwrap(),
            )
            .unwrap();
        }
        planted
    }

    fn plant_images(&mut self, names: &[String], planted: &mut Planted) {
        fs::remove_file(self.image(&names[0])).unwrap();
        planted.chart(FindingKind::MissingImage, stem(&names[0]), None);
        let bytes = fs::read(self.image(&names[1])).unwrap();
        fs::write(self.image(&names[1]), &bytes[..bytes.len() - 100]).unwrap();
        planted.chart(FindingKind::BrokenImage, stem(&names[1]), None);
        let copy_of = |of: &str| (format!("copy_{of}"), stem(of).to_owned());
        for (number, of) in names[2..4].iter().enumerate() {
            let (name, first) = copy_of(of);
            let bytes = fs::read(self.image(of)).unwrap();
            fs::write(
                self.image(&name),
                if number == 0 {
                    bytes
                } else {
                    png(&read(&self.image(of)))
                },
            )
            .unwrap();
            self.ask(&name, "What is copied?", "It");
            planted.chart(FindingKind::DoubledImage, stem(&name), Some(&first));
        }
        for (of, copy) in names[4..].iter().zip(COPIES) {
            let (name, first) = copy_of(of);
            fs::write(self.image(&name), copy(&read(&self.image(of)))).unwrap();
            self.ask(&name, "What is copied?", "It");
            planted.chart(FindingKind::NearIdenticalImage, stem(&name), Some(&first));
        }
    }

    fn plant_train(&mut self, names: &[String], planted: &mut Planted) {
        let mut train = |name: &str, label: &str| {
            self.train
                .push(json!({"imgname": name, "query": "Who planted this?", "label": label}));
        };
        train(&names[0], "nobody");
        train("bytes.png", "nobody");
        train("jpeg.png", "a gardener");
        train("fresh.png", "a gardener");
        train("fresh.png", "a Gardener");
        fs::copy(self.image(&names[1]), self.image("bytes.png")).unwrap();
        fs::write(
            self.image("jpeg.png"),
            jpeg(&read(&self.image(&names[2])), 60),
        )
        .unwrap();
        save(&chart("bars", 7, 0), &self.image("fresh.png"));
        for (test, train) in names.iter().zip([stem(&names[0]), "bytes", "jpeg"]) {
            planted.chart(
                FindingKind::ChartInTrainAndTest,
                stem(test),
                Some(&format!("train/{train}")),
            );
        }
        planted.chart(
            FindingKind::DuplicateQuestion,
            "train/human/4",
            Some("train/human/3"),
        );
    }

    fn plant_questions(&mut self, names: &[String], planted: &mut Planted) {
        let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
        for (place, kind) in [
            (3, FindingKind::DuplicateQuestion),
            (5, FindingKind::ConflictingQuestion),
        ] {
            let record = self.test[place].clone();
            let mut label = text(&record, "label");
            if kind == FindingKind::ConflictingQuestion {
                label += "0";
            }
            let query = text(&record, "query").to_uppercase();
            let id = self.ask(&text(&record, "imgname"), &query, &label);
            planted.chart(kind, &id, Some(&format!("human/{place}")));
        }
        for gold in ["", " ", "[]"] {
            planted.chart(
                FindingKind::EmptyGold,
                &self.ask(&names[30], &format!("What is empty{gold}?"), gold),
                None,
            );
        }
        for gold in TRUNCATED {
            planted.chart(
                FindingKind::TruncatedGold,
                &self.ask(&names[31], &format!("Why {gold}?"), gold),
                None,
            );
        }
        let cut = self.ask(&names[32], "What is cut?", "Number of new infec");
        self.ask(
            &names[32],
            "What is whole?",
            "Number of new infections a year",
        );
        planted.chart(FindingKind::TruncatedGold, &cut, None);
        planted.chart(
            FindingKind::UnmatchableGold,
            &self.ask(&names[33], "What is no number?", "nan"),
            None,
        );
        let asked: Vec<String> = names[20..]
            .iter()
            .take(20)
            .map(|name| self.ask(name, "Who planted  this?", "A gardener"))
            .collect();
        planted.chart(FindingKind::GivenAway, &asked[0], None);
    }
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// A plain chart: `bars`, `pale` bars, a `line` or `points`, its data from `seed`, one of them
/// moved by `shift` pixels.
pub(crate) fn chart(kind: &str, seed: u32, shift: u32) -> RgbImage {
    let mut image = RgbImage::from_pixel(640, 480, Rgb([255; 3]));
    let fill = |image: &mut RgbImage, x: u32, y: u32, width: u32, height: u32, colour: [u8; 3]| {
        for (x, y) in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            image.put_pixel(x, y, Rgb(colour));
        }
    };
    fill(&mut image, 60, 20, 2, 402, [0; 3]);
    fill(&mut image, 60, 420, 560, 2, [0; 3]);
    let value = |place: u32| {
        40 + (seed * 7919 + place * 104_729).wrapping_mul(2_654_435_761) % 300
            + u32::from(place == 3) * shift
    };
    for place in 0..8 {
        let left = 80 + 65 * place;
        match kind {
            "bars" => fill(
                &mut image,
                left,
                420 - value(place),
                45,
                value(place),
                [31, 119, 180],
            ),
            "pale" => fill(
                &mut image,
                left,
                420 - value(place),
                45,
                value(place),
                [255, 240, 120],
            ),
            "points" => fill(
                &mut image,
                left + 2 * (value(place) % 20),
                420 - value(place),
                6,
                6,
                [200, 30, 30],
            ),
            _ => {
                let (from, to) = (f64::from(value(place)), f64::from(value(place + 1)));
                for step in 0..65 {
                    let y = 420.0 - (from + (to - from) * f64::from(step) / 65.0);
                    fill(
                        &mut image,
                        left + step,
                        y as u32,
                        1,
                        3 + ((to - from).abs() / 65.0) as u32,
                        [20, 120, 20],
                    );
                }
            }
        }
    }
    image
}

/// RealCQA's layout with `charts` charts of `each` questions, a fifth for training, and hardly any
/// images.
pub(crate) fn many_questions(dir: &Path, charts: usize, each: usize) {
    fs::create_dir(dir.join("qa")).unwrap();
    fs::create_dir(dir.join("images")).unwrap();
    let kinds = [
        "String",
        "Numerical",
        "Binary",
        "Ranked List",
        "Unranked List",
    ];
    let mut tests = String::new();
    for chart in 0..charts {
        let id = format!("PMC{chart:07}");
        let record = |number: usize| {
            let dice = (chart * each + number).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let name = |shift: usize| {
                format!(
                    "Series {} of group {}",
                    (dice >> shift) % 97,
                    (dice >> shift) % 13
                )
            };
            let answer = match number % 5 {
                0 => json!(name(3)),
                1 => json!(format!("{:.2}", (dice % 100_000) as f64 / 100.0 - 300.0)),
                2 => json!(if dice.is_multiple_of(2) { "yes" } else { "no" }),
                _ => json!([name(1), name(5), name(9)]),
            };
            let question = format!(
                "What is the value of {} at place {number} along the axis called {}?",
                name(2),
                name(7)
            );
            json!({
                "taxonomy id": format!("{}a", 1 + number % 4), "QID": number.to_string(), "question": question,
                "answer": answer, "answer_type": kinds[number % 5], "qa_id": format!("q{number}"), "PMC_ID": id,
            })
        };
        let records: Vec<Value> = (0..each).map(record).collect();
        fs::write(
            dir.join(format!("qa/{id}.json")),
            serde_json::to_vec(&records).unwrap(),
        )
        .unwrap();
        if chart < 2 {
            fs::write(dir.join(format!("images/{id}.png")), "").unwrap();
        }
        if chart % 5 != 1 {
            tests += &format!("{id}\n");
        }
    }
    fs::write(dir.join("test_filenames.txt"), tests).unwrap();
}
