// Pieces of a self-contained HTML page: escaping, the page's frame and style, charts as inline SVG.
// A page needs no network and no script, and follows the reader's light or dark setting.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reflect::html {

// &, <, >, " and ' as entities, control characters other than newline and tab as U+FFFD: safe as
// text and as an attribute's value.
std::string escaped(std::string_view text);

// The document around `body` (HTML). `title` is escaped here.
std::string page(std::string_view title, std::string_view body);

// A number for people: thousands apart by thin spaces.
std::string count_text(std::size_t count);

struct Axis {
  std::string label;  // with the unit
  double low = 0, high = 1;
};

// Round values between low and high, about `wanted` of them.
std::vector<double> ticks(double low, double high, int wanted);

// A vertical mark, such as a threshold.
struct Mark {
  double at;
  std::string label;
};

// Bars of equal width from axis.low on: `all` behind, `part` before.
struct HistogramChart {
  Axis axis;
  std::vector<std::size_t> all, part;
  std::vector<Mark> marks;
};
std::string svg(const HistogramChart& chart);

// Points in two classes; those beyond the axes are drawn at their border.
struct ScatterChart {
  Axis x, y;
  struct Point {
    double x, y;
    bool part;
    std::string title;  // shown where the pointer rests
  };
  std::vector<Point> points;
  std::optional<double> x_mark, y_mark;
};
std::string svg(const ScatterChart& chart);

// One bar below the other, each a share of the first.
struct FunnelChart {
  struct Step {
    std::string name, detail;
    std::size_t count, dropped;
  };
  std::size_t total = 0;
  std::vector<Step> steps;
};
std::string svg(const FunnelChart& chart);

}  // namespace reflect::html
