//! The results as one page, which needs nothing besides itself.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::plot::Figure;
use super::results::{Example, Examples};
use super::summary::Summary;
use super::text::{Detail, Section, facts, notes, sections};
use crate::table::Table;

/// No script, and nothing from elsewhere, whatever the texts contain.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

const STYLE: &str = "\
:root { color-scheme: light dark; --paper: #fff; --ink: #202020; --faint: #d0d0d0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --ink: #e4e4e4; --faint: #444a52; }
}
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; }
th, td { border-bottom: 1px solid var(--faint); padding: 0.2rem 0.8rem 0.2rem 0;
  text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th.number, td.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0 2rem; }
figure svg, figure img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
";

/// The page.
pub(crate) fn page(summary: &Summary, figures: &[Figure], drawn: &[Examples]) -> String {
    let title = escaped(&format!("{}: {}", summary.header.experiment, summary.header.dataset));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    page += &facts_table(summary);
    page += &notes_list(summary);
    if !figures.is_empty() {
        page += "<h2>Figures</h2>\n";
    }
    for figure in figures {
        let title = escaped(&figure.title);
        page += &format!(
            "<figure role=\"img\" aria-label=\"{title}\">\n{}</figure>\n",
            figure.plotted.svg
        );
    }
    let sections = sections(summary, Detail::All);
    if !sections.is_empty() {
        page += "<h2>Tables</h2>\n";
    }
    for Section { title, table } in &sections {
        page += &format!("<h3>{}</h3>\n{}", escaped(title), html_table(table));
    }
    drawn.iter().for_each(|drawn| page += &examples(drawn));
    page + "</body>\n</html>\n"
}

fn facts_table(summary: &Summary) -> String {
    let row = |(name, value): (String, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escaped(&name), escaped(&value))
    };
    let rows: String = facts(summary).into_iter().map(row).collect();
    format!("<div class=\"wide\"><table>\n{rows}</table></div>\n")
}

fn notes_list(summary: &Summary) -> String {
    let items = notes(summary).into_iter().map(|note| format!("<li>{}</li>\n", escaped(&note)));
    let statistics = format!(
        "<p>In brackets: 95 % percentile intervals of {} bootstrap resamples of the pictures. \
         p: two-sided sign-flip permutation test over pictures, {} draws, not corrected for the \
         number of tests.</p>\n",
        summary.resamples, summary.permutations
    );
    format!("<ul>\n{}</ul>\n{statistics}", items.collect::<String>())
}

fn html_table(table: &Table) -> String {
    let sides: Vec<bool> = table.headings().map(|(_, right)| right).collect();
    let class = |right: bool| if right { " class=\"number\"" } else { "" };
    let heading = |(name, right): (&str, bool)| {
        format!("<th scope=\"col\"{}>{}</th>", class(right), escaped(name))
    };
    let row = |row: &Vec<String>| {
        let cells = row.iter().zip(&sides);
        let cell = |(cell, &right): (&String, &bool)| {
            format!("<td{}>{}</td>", class(right), escaped(cell))
        };
        format!("<tr>{}</tr>\n", cells.map(cell).collect::<String>())
    };
    let headings: String = table.headings().map(heading).collect();
    let rows: String = table.rows().iter().map(row).collect();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr>{headings}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n"
    )
}

fn examples(Examples { title, caption, pictures }: &Examples) -> String {
    if pictures.is_empty() {
        return String::new();
    }
    let figure = |example: &Example| {
        let (title, caption) = (escaped(&example.title), escaped(&example.caption));
        let png = BASE64_STANDARD.encode(&example.png);
        format!(
            "<figure>\n<h3>{title}</h3>\n<img alt=\"{title}\" src=\"data:image/png;base64,{png}\">\n\
             <figcaption>{caption}</figcaption>\n</figure>\n"
        )
    };
    let figures: String = pictures.iter().map(figure).collect();
    format!("<h2>{}</h2>\n<p>{}</p>\n{figures}", escaped(title), escaped(caption))
}

/// A text that is nothing but text in HTML, between quotes too.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html += "&amp;",
            '<' => html += "&lt;",
            '>' => html += "&gt;",
            '"' => html += "&quot;",
            '\'' => html += "&#39;",
            '\n' | '\t' => html.push(character),
            character if character.is_control() => html.push('\u{fffd}'),
            character => html.push(character),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::super::plot::figures;
    use super::super::testing::{header, object, picture, pointing, summary_of};
    use super::*;

    fn summary() -> Summary {
        let hit = |hit| object(0, vec![pointing(hit, 0.5), pointing(true, 0.25)]);
        let mut header = header(&["lrp", "<b>&clrp1"]);
        header.networks[0].name = "net \"<script>alert('1')</script>\"".to_owned();
        summary_of(&header, &[picture(0, vec![hit(true)]), picture(1, vec![hit(false)])])
    }

    fn examples(title: &str) -> Examples {
        let (title, caption) = (title.to_owned(), "hit & <miss>".to_owned());
        let png = b"\x89PNG".to_vec();
        let pictures = vec![Example { title, caption: caption.clone(), png }];
        Examples { title: "Best".to_owned(), caption, pictures }
    }

    #[test]
    fn whatever_is_text_stays_text() {
        let summary = summary();
        let figures = figures(&summary).expect("they can be drawn");
        let page = page(&summary, &figures, &[examples("a\"<i>")]);
        for tag in ["<script", "<b>", "<i>", "<miss>", "<pictures>"] {
            assert!(!page.contains(tag), "{tag}");
        }
        assert!(page.contains("<h1>test: some &lt;pictures&gt;</h1>"));
        assert!(page.contains("alt=\"a&quot;&lt;i&gt;\""));
        assert_eq!(escaped("a\u{0}'b\n"), "a\u{fffd}&#39;b\n");
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let summary = summary();
        let figures = figures(&summary).expect("they can be drawn");
        let page = page(&summary, &figures, &[examples("one"), examples("two")]);
        // Base64 of 0x89 "PNG".
        assert_eq!(page.matches("src=\"data:image/png;base64,iVBORw==\"").count(), 2);
        assert_eq!(page.matches("src=").count(), 2);
        assert_eq!(page.matches("<svg").count(), figures.len());
        // Names of namespaces are no addresses.
        let addresses = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for mark in ["http:", "https:", "url(", "@import", "<link", "href"] {
            assert!(!addresses.contains(mark), "{mark}");
        }
        let known = ["a1b2", "c3d4", "clrp 0.1.0", "224x224", "gu2018", "f32"];
        assert!(known.iter().all(|fact| page.contains(fact)));
    }

    #[test]
    fn pages_of_nothing_and_of_the_same_are_equal() {
        let none = summary_of(&header(&[]), &[]);
        let empty = page(&none, &[], &[]);
        assert!(empty.contains("0 of 4 pictures") && !empty.contains("<h2>"));
        assert_eq!(empty, page(&none, &[], &[]));
    }
}
