//! The pickles that torch writes for a state dict (protocol 2), read without running code.
//!
//! Objects are in one list and refer to each other by index, so that neither a nested nor a
//! repeated object costs more than the opcodes that make it. Every limit is far above what a
//! checkpoint needs. Opcodes: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

use chartbench_core::terminal::shorten;

/// Most bytes of a pickle: a tensor takes some 150.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// Most objects, stack entries and memo entries each: a tensor takes some 25.
const MAX_OBJECTS: usize = 1 << 21;

/// Callables of a state dict, as `module.name`; storage classes (`torch.*Storage`) come on top.
const TENSOR_BUILDERS: [&str; 5] = [
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch._tensor._rebuild_from_type_v2",
    "torch.nn.parameter.Parameter",
];

/// An index into [`Pickle::objects`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectId(u32);

#[derive(Debug)]
pub(super) enum Object<'a> {
    Int(i64),
    Text(&'a str),
    Tuple(Vec<ObjectId>),
    List,
    Dict(Vec<(ObjectId, ObjectId)>),
    /// A class or function.
    Global {
        module: &'a str,
        name: &'a str,
    },
    Call {
        function: ObjectId,
        args: ObjectId,
    },
    /// A persistent id: in torch's files a storage.
    Storage(ObjectId),
    /// None, a truth value or a float.
    Other,
}

/// A pickle's objects, of which one is the result.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    objects: Vec<Object<'a>>,
    result: ObjectId,
}

impl<'a> Pickle<'a> {
    /// # Errors
    /// Returns an error if the pickle names what is no part of a tensor, has opcodes that torch
    /// does not write for a state dict, or is damaged or too large.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        ensure!(
            bytes.len() <= MAX_BYTES,
            "the pickle has {} bytes, more than the {MAX_BYTES} allowed",
            bytes.len()
        );
        let mut machine = Machine {
            bytes,
            ..Machine::default()
        };
        let result = machine.run();
        // Names come first, also in a pickle that is damaged behind them: they say what the file is
        // for.
        machine.objects.iter().try_for_each(check_name)?;
        let result =
            result.context("holds more than a state dict's tensors, or is damaged; refused")?;
        Ok(Self {
            objects: machine.objects,
            result,
        })
    }

    /// The id of the object that the pickle holds.
    pub(super) fn result(&self) -> ObjectId {
        self.result
    }

    pub(super) fn get(&self, id: ObjectId) -> &Object<'a> {
        &self.objects[id.0 as usize]
    }

    /// The function's name and the arguments of a call.
    pub(super) fn call(&self, id: ObjectId) -> Option<(&'a str, &[ObjectId])> {
        let Object::Call { function, args } = self.get(id) else {
            return None;
        };
        match (self.get(*function), self.get(*args)) {
            (Object::Global { name, .. }, Object::Tuple(args)) => Some((name, args)),
            _ => None,
        }
    }
}

/// Refuses a name that is not part of torch's tensor format.
fn check_name(object: &Object<'_>) -> Result<()> {
    let Object::Global { module, name } = object else {
        return Ok(());
    };
    let full = format!("{module}.{name}");
    let is_storage = *module == "torch" && name.ends_with("Storage");
    ensure!(
        is_storage || TENSOR_BUILDERS.contains(&full.as_str()),
        "the pickle wants to run code: it names {}, which is not part of a tensor; refused",
        shorten(&full)
    );
    Ok(())
}

#[derive(Default)]
struct Machine<'a> {
    /// The opcodes that are left.
    bytes: &'a [u8],
    objects: Vec<Object<'a>>,
    stack: Vec<ObjectId>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, ObjectId>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<ObjectId> {
        let whole = self.bytes.len();
        loop {
            let position = whole - self.bytes.len();
            if let Some(result) = self.step().with_context(|| format!("byte {position}"))? {
                return Ok(result);
            }
        }
    }

    /// Runs one opcode; returns the result after the last.
    fn step(&mut self) -> Result<Option<ObjectId>> {
        match self.byte()? {
            // PROTO
            0x80 => drop(self.byte()?),
            b'.' => return self.pop().map(Some),
            b'c' => {
                let global = Object::Global {
                    module: self.line()?,
                    name: self.line()?,
                };
                self.push(global)?;
            }
            b'q' => {
                let index = self.byte()?.into();
                self.remember(index)?;
            }
            b'r' => {
                let index = u32::from_le_bytes(self.array()?);
                self.remember(index)?;
            }
            b'h' => {
                let index = self.byte()?.into();
                self.recall(index)?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.array()?);
                self.recall(index)?;
            }
            code @ (b'K' | b'M' | b'J' | 0x8a | b'X' | b'G' | b'N' | 0x88 | 0x89) => {
                let scalar = self.scalar(code)?;
                self.push(scalar)?;
            }
            code => self.compound(code)?,
        }
        Ok(None)
    }

    fn scalar(&mut self, code: u8) -> Result<Object<'a>> {
        Ok(match code {
            b'K' => Object::Int(self.byte()?.into()),
            b'M' => Object::Int(u16::from_le_bytes(self.array()?).into()),
            b'J' => Object::Int(i32::from_le_bytes(self.array()?).into()),
            // LONG1: as many bytes as the first says, two's complement.
            0x8a => {
                let length = self.byte()?;
                ensure!(length <= 8, "a number of {length} bytes");
                let digits = self.take(length.into())?;
                let fill = if digits.last().is_some_and(|high| high & 0x80 != 0) {
                    0xff
                } else {
                    0
                };
                let mut number = [fill; 8];
                number[..digits.len()].copy_from_slice(digits);
                Object::Int(i64::from_le_bytes(number))
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                Object::Text(std::str::from_utf8(self.take(length as usize)?)?)
            }
            b'G' => self.take(8).map(|_| Object::Other)?,
            _ => Object::Other,
        })
    }

    fn compound(&mut self, code: u8) -> Result<()> {
        match code {
            b'(' => {
                self.marks.push(self.stack.len());
                ensure!(
                    self.marks.len() <= MAX_OBJECTS,
                    "more than {MAX_OBJECTS} marks"
                );
            }
            b')' => self.push(Object::Tuple(Vec::new()))?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Object::Tuple(items))?;
            }
            0x85..=0x87 => {
                let start = self
                    .stack
                    .len()
                    .checked_sub(usize::from(code - 0x84))
                    .context("the stack is empty")?;
                let items = self.stack.split_off(start);
                self.push(Object::Tuple(items))?;
            }
            b']' => self.push(Object::List)?,
            b'a' => drop(self.pop()?),
            b'e' => drop(self.pop_to_mark()?),
            b'}' => self.push(Object::Dict(Vec::new()))?,
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(items)?;
            }
            b'R' | 0x81 => self.call()?,
            b'Q' => {
                let id = self.pop()?;
                self.push(Object::Storage(id))?;
            }
            // BUILD sets attributes, of which neither a tensor nor a state dict needs any.
            b'b' => drop(self.pop()?),
            code => bail!("opcode {code:#04x}"),
        }
        Ok(())
    }

    fn call(&mut self) -> Result<()> {
        let (args, function) = (self.pop()?, self.pop()?);
        let is_dict = matches!(
            self.objects[function.0 as usize],
            Object::Global {
                name: "OrderedDict",
                ..
            }
        );
        if !is_dict {
            return self.push(Object::Call { function, args });
        }
        let is_empty =
            matches!(&self.objects[args.0 as usize], Object::Tuple(items) if items.is_empty());
        ensure!(is_empty, "an OrderedDict with arguments");
        self.push(Object::Dict(Vec::new()))
    }

    /// Adds pairs to the dict on the stack.
    fn insert(&mut self, items: Vec<ObjectId>) -> Result<()> {
        ensure!(items.len().is_multiple_of(2), "a key without a value");
        let top = self.stack.last().context("the stack is empty")?;
        let Object::Dict(pairs) = &mut self.objects[top.0 as usize] else {
            bail!("no dict to add to")
        };
        pairs.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn remember(&mut self, index: u32) -> Result<()> {
        let top = *self.stack.last().context("the stack is empty")?;
        self.memo.insert(index, top);
        ensure!(
            self.memo.len() <= MAX_OBJECTS,
            "more than {MAX_OBJECTS} objects in the memo"
        );
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<()> {
        let id = *self
            .memo
            .get(&index)
            .with_context(|| format!("object {index} is used before it is made"))?;
        self.push_id(id)
    }

    fn push(&mut self, object: Object<'a>) -> Result<()> {
        ensure!(
            self.objects.len() < MAX_OBJECTS,
            "more than {MAX_OBJECTS} objects"
        );
        let id = ObjectId(u32::try_from(self.objects.len())?);
        self.objects.push(object);
        self.push_id(id)
    }

    fn push_id(&mut self, id: ObjectId) -> Result<()> {
        ensure!(
            self.stack.len() < MAX_OBJECTS,
            "more than {MAX_OBJECTS} objects on the stack"
        );
        self.stack.push(id);
        Ok(())
    }

    /// Takes an object from the stack, none below the last mark.
    fn pop(&mut self) -> Result<ObjectId> {
        ensure!(
            self.marks
                .last()
                .is_none_or(|&mark| self.stack.len() > mark),
            "the stack is empty"
        );
        self.stack.pop().context("the stack is empty")
    }

    fn pop_to_mark(&mut self) -> Result<Vec<ObjectId>> {
        let mark = self
            .marks
            .pop()
            .filter(|&mark| mark <= self.stack.len())
            .context("no mark on the stack")?;
        Ok(self.stack.split_off(mark))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into()?)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .context("the pickle ends early")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn line(&mut self) -> Result<&'a str> {
        let end = self
            .bytes
            .iter()
            .position(|&byte| byte == b'\n')
            .context("the pickle ends early")?;
        let line = std::str::from_utf8(self.take(end)?)?;
        self.take(1)?;
        Ok(line.strip_suffix('\r').unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(pickle: &[u8]) -> String {
        format!("{:#}", Pickle::read(pickle).unwrap_err())
    }

    #[test]
    fn numbers_of_every_length() {
        let number = |pickle: &[u8]| {
            let pickle = Pickle::read(pickle).unwrap();
            let Object::Int(number) = pickle.get(pickle.result()) else {
                panic!("no number")
            };
            *number
        };
        assert_eq!(number(b"K\xff."), 255);
        assert_eq!(number(b"M\x00\x02."), 512);
        assert_eq!(number(b"J\xfe\xff\xff\xff."), -2);
        assert_eq!(number(b"\x8a\x00."), 0);
        assert_eq!(number(b"\x8a\x01\xff."), -1);
        assert_eq!(number(b"\x8a\x05\x00\x00\x00\x00\x01."), 1 << 32);
        assert_eq!(
            number(b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f."),
            i64::MAX
        );
        assert!(
            refused(b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.")
                .ends_with("byte 0: a number of 9 bytes")
        );
        assert!(refused(b"\x8a\xff\x00.").ends_with("a number of 255 bytes"));
    }

    #[test]
    fn deep_and_repeated_objects_cost_their_opcodes() {
        let deep = [b"\x80\x02N".as_slice(), &[0x85; 300_000], b"."].concat();
        assert!(matches!(
            Pickle::read(&deep).unwrap().objects.len(),
            300_001
        ));
        let lists = [&b"("[..], &[b']'; 200_000], &[b'a'; 199_999], b"t."].concat();
        assert_eq!(Pickle::read(&lists).unwrap().objects.len(), 200_001);
        let mut laughs = b"\x80\x02)q\x00".to_vec();
        for level in 0..12 {
            laughs.push(b'(');
            laughs.extend([b'h', level].repeat(10));
            laughs.extend([b't', b'q', level + 1]);
        }
        laughs.push(b'.');
        assert_eq!(Pickle::read(&laughs).unwrap().objects.len(), 13);
    }

    #[test]
    fn too_many_objects_and_broken_stacks_are_errors() {
        assert!(
            refused(&[&[b')'; MAX_OBJECTS + 1], b".".as_slice()].concat())
                .contains("more than 2097152 objects")
        );
        for pickle in [
            b".".as_slice(),
            b"R.",
            b"(.",
            b"t.",
            b"(s.",
            b"}Nu.",
            b"}(Nu.",
            b"h\x07.",
            b"X\xff\xff\xff\xff.",
            b"N",
            b"",
        ] {
            assert!(
                refused(pickle)
                    .starts_with("holds more than a state dict's tensors, or is damaged; refused")
            );
        }
    }
}
