//! Line charts as SVG, for reports and documents.

use std::fmt::Write;

/// A line of a [`Chart`].
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// A CSS colour.
    pub color: &'static str,
    /// x and y.
    pub points: Vec<[f64; 2]>,
    /// Whether each point is marked.
    pub has_markers: bool,
}

/// A line chart.
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below it.
    pub x_label: String,
    /// Beside it.
    pub y_label: String,
    /// Smallest and largest x; from the points if there is none.
    pub x_range: Option<[f64; 2]>,
    /// Smallest and largest y; from the points if there is none.
    pub y_range: Option<[f64; 2]>,
    /// The lines.
    pub series: Vec<Series>,
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 320.0;
/// Left, top, right, bottom.
const MARGIN: [f64; 4] = [62.0, 34.0, 16.0, 48.0];
const TICKS: usize = 5;

impl Chart {
    /// The chart as an SVG element, 460 by 320 pixels.
    pub fn to_svg(&self) -> String {
        let [x_low, x_high] = self.range(0, self.x_range);
        let [y_low, y_high] = self.range(1, self.y_range);
        let [left, top, right, bottom] = MARGIN;
        let (plot_width, plot_height) = (WIDTH - left - right, HEIGHT - top - bottom);
        let x = |value: f64| left + (value - x_low) / (x_high - x_low) * plot_width;
        let y = |value: f64| top + plot_height - (value - y_low) / (y_high - y_low) * plot_height;

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"11\" role=\"img\" aria-label=\"{title}\">\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\
             <text x=\"{left}\" y=\"20\" font-size=\"13\" font-weight=\"600\">{title}</text>",
            title = escape(&self.title)
        );
        for tick in 0..=TICKS {
            let share = tick as f64 / TICKS as f64;
            let (x_value, y_value) = (x_low + share * (x_high - x_low), y_low + share * (y_high - y_low));
            let (x_place, y_place) = (x(x_value), y(y_value));
            let _ = write!(
                svg,
                "<path d=\"M{left} {y_place:.1}H{end:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{x_place:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{x_text}</text>\
                 <text x=\"{before:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{y_text}</text>",
                end = left + plot_width,
                below = top + plot_height + 16.0,
                before = left - 6.0,
                middle = y_place + 4.0,
                x_text = number(x_value, x_high - x_low),
                y_text = number(y_value, y_high - y_low),
            );
        }
        for (index, series) in self.series.iter().enumerate() {
            let color = series.color;
            let points: Vec<[f64; 2]> = series.points.iter().map(|point| [x(point[0]), y(point[1])]).collect();
            let path = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
            let _ = write!(svg, "<polyline points=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.8\"/>");
            for [x, y] in points.iter().filter(|_| series.has_markers) {
                let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{color}\"/>");
            }
            let place = top + 12.0 + 15.0 * index as f64;
            let _ = write!(
                svg,
                "<path d=\"M{begin} {place}h16\" stroke=\"{color}\" stroke-width=\"3\"/>\
                 <text x=\"{text}\" y=\"{line}\">{name}</text>",
                begin = left + 10.0,
                text = left + 32.0,
                line = place + 4.0,
                name = escape(&series.name)
            );
        }
        let _ = write!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{plot_width}\" height=\"{plot_height}\" fill=\"none\" stroke=\"#888\"/>\
             <text x=\"{x_middle}\" y=\"{x_place}\" text-anchor=\"middle\">{x_label}</text>\
             <text transform=\"translate(14 {y_middle}) rotate(-90)\" text-anchor=\"middle\">{y_label}</text></svg>",
            x_middle = left + plot_width / 2.0,
            x_place = HEIGHT - 10.0,
            y_middle = top + plot_height / 2.0,
            x_label = escape(&self.x_label),
            y_label = escape(&self.y_label)
        );
        svg
    }

    fn range(&self, axis: usize, given: Option<[f64; 2]>) -> [f64; 2] {
        let values = || self.series.iter().flat_map(|series| series.points.iter().map(move |point| point[axis]));
        let [low, high] = given.unwrap_or_else(|| {
            let finite = || values().filter(|value| value.is_finite());
            [finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max)]
        });
        match low < high {
            true => [low, high],
            false if low.is_finite() => [low - 0.5, low + 0.5],
            false => [0.0, 1.0],
        }
    }
}

/// A number with as many digits as its axis needs.
fn number(value: f64, span: f64) -> String {
    let digits = (1.3 - span.log10()).ceil().clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}")
}

/// Text within XML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<[f64; 2]>) -> String {
        let series = vec![Series { name: "a < b".into(), color: "red", points, has_markers: true }];
        let labels = |text: &str| text.to_string();
        let chart = Chart {
            title: labels("t"),
            x_label: labels("x"),
            y_label: labels("y"),
            x_range: None,
            y_range: None,
            series,
        };
        chart.to_svg()
    }

    #[test]
    fn lines_fill_the_plot_and_names_are_escaped() {
        let svg = chart(vec![[0.0, 10.0], [4.0, 20.0]]);
        assert!(svg.contains("points=\"62.0,272.0 444.0,34.0\""), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.matches("<circle").count() == 2);
    }

    #[test]
    fn empty_and_constant_series_are_drawn() {
        assert!(!chart(Vec::new()).contains("NaN"));
        assert!(!chart(vec![[1.0, 2.0], [1.0, 2.0]]).contains("NaN"));
    }
}
