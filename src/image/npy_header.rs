//! The header of a `.npy` file, a Python dictionary of three entries:
//! `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.

use super::npy::MAX_DIMENSIONS;

/// Reads the one Python dictionary that numpy writes, and nothing else.
pub(super) struct HeaderReader<'a> {
    rest: &'a str,
}

impl<'a> HeaderReader<'a> {
    pub(super) fn new(header: &'a str) -> Self {
        Self { rest: header }
    }

    /// The type and the shape.
    pub(super) fn dictionary(&mut self) -> Result<(&'a str, Vec<usize>), String> {
        let (mut descr, mut order, mut shape) = (None, None, None);
        self.expect("{")?;
        while !self.eat("}") {
            let key = self.string()?;
            self.expect(":")?;
            let repeated = match key {
                "descr" => descr.replace(self.string()?).is_some(),
                "fortran_order" => order.replace(self.c_order()?).is_some(),
                "shape" => shape.replace(self.tuple()?).is_some(),
                _ => return Err(format!("the header has an unknown key `{key}`")),
            };
            if repeated {
                return Err(format!("the header has `{key}` twice"));
            }
            if !self.eat(",") {
                self.expect("}")?;
                break;
            }
        }
        if !self.rest.trim().is_empty() {
            return Err("the header goes on after its end".to_owned());
        }
        match (descr, order, shape) {
            (Some(descr), Some(()), Some(shape)) => Ok((descr, shape)),
            _ => Err("the header lacks `descr`, `fortran_order` or `shape`".to_owned()),
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest.trim_start().strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) {
            return Ok(());
        }
        let found: String = self.rest.trim().chars().take(12).collect();
        Err(format!("the header has `{}`, expected `{token}`", found.escape_debug()))
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.eat("\"") { '"' } else { '\'' };
        if quote == '\'' {
            self.expect("'")?;
        }
        let (text, rest) = self.rest.split_once(quote).ok_or("the header has an open string")?;
        self.rest = rest;
        let plain = text.len() <= 16 && text.chars().all(|c| c.is_ascii_graphic());
        if plain { Ok(text) } else { Err("the header has an odd string".to_owned()) }
    }

    fn c_order(&mut self) -> Result<(), String> {
        if self.eat("True") {
            return Err("the order is Fortran's, expected C's".to_owned());
        }
        self.expect("False")
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut lengths = Vec::new();
        self.expect("(")?;
        while !self.eat(")") {
            if lengths.len() == MAX_DIMENSIONS {
                return Err(format!("it has more than {MAX_DIMENSIONS} dimensions"));
            }
            lengths.push(self.number()?);
            // A tuple of one has a comma.
            if !self.eat(",") && (lengths.len() == 1 || !self.rest.trim_start().starts_with(')')) {
                self.expect(",")?;
            }
        }
        Ok(lengths)
    }

    fn number(&mut self) -> Result<usize, String> {
        let text = self.rest.trim_start();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        self.rest = rest;
        digits.parse().map_err(|_| "the shape is not made of numbers".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_and_shape_are_read_in_any_order_and_spacing() {
        let read = |header| HeaderReader::new(header).dictionary();
        let numpy = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  \n";
        assert_eq!(read(numpy), Ok(("<f4", vec![3, 4])));
        let dense = "{\"shape\":(7,),\"descr\":\"|u1\",\"fortran_order\":False}";
        assert_eq!(read(dense), Ok(("|u1", vec![7])));
        let scalar = "{'fortran_order' : False , 'shape' : ( ) , 'descr' : '<f8'}";
        assert_eq!(read(scalar), Ok(("<f8", Vec::new())));
    }
}
