#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reflect/metrics/html.h"

namespace reflect::html {

namespace {

// A chart's plane in pixels and its scales.
struct Plane {
  double width = 460, height = 250, left = 44, right = 10, top = 22, bottom = 40;
  Axis x, y;

  double at_x(double value) const {
    return left + (value - x.low) / (x.high - x.low) * (width - left - right);
  }
  double at_y(double value) const {
    return height - bottom - (value - y.low) / (y.high - y.low) * (height - top - bottom);
  }
};

std::string open_svg(double width, double height, std::string_view label) {
  return fmt::format("<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\">\n", width,
                     height, escaped(label));
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view text,
                    std::string_view style = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n",
                     x, y, anchor, style, escaped(text));
}

std::string line(double x1, double y1, double x2, double y2, std::string_view style) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1, y1, x2,
      y2, style);
}

std::string bar(double x, double y, double width, double height, std::string_view style,
                double radius = 1) {
  return fmt::format(
      "<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" rx=\"{:g}\" "
      "class=\"{}\"/>\n",
      x, y, std::max(0.0, width), std::max(0.0, height), radius, style);
}

// Axes with ticks: rules across for y, labels below for x.
std::string frame(const Plane& plane, bool rules_up) {
  std::string text;
  for (const double tick : ticks(plane.y.low, plane.y.high, 4)) {
    const double y = plane.at_y(tick);
    text += line(plane.left, y, plane.width - plane.right, y, tick == 0 ? "axis" : "rule");
    text += text_at(plane.left - 6, y + 4, "end", fmt::format("{:g}", tick));
  }
  const double base = plane.height - plane.bottom;
  for (const double tick : ticks(plane.x.low, plane.x.high, 6)) {
    const double x = plane.at_x(tick);
    if (rules_up) text += line(x, plane.top, x, base, "rule");
    text += line(x, base, x, base + 4, "axis");
    text += text_at(x, base + 17, "middle", fmt::format("{:g}", tick));
  }
  text += line(plane.left, base, plane.width - plane.right, base, "axis");
  text += text_at((plane.left + plane.width - plane.right) / 2, plane.height - 4, "middle",
                  plane.x.label);
  return text + text_at(plane.left - 6, plane.top - 10, "start", plane.y.label);
}

}  // namespace

std::vector<double> ticks(double low, double high, int wanted) {
  const double rough = (high - low) / std::max(1, wanted);
  if (!(rough > 0) || !std::isfinite(rough)) return {};
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double round : {5.0, 2.0, 1.0})
    if (round * power >= rough * 0.999) step = round * power;
  std::vector<double> values;
  const double first = std::ceil(low / step - 1e-9);
  for (double i = first; i * step <= high + 1e-9 * step; ++i)
    values.push_back(std::round(i * step / power * 10) * power / 10 + 0.0);  // no -0
  return values;
}

std::string svg(const HistogramChart& chart) {
  const std::size_t highest =
      chart.all.empty() ? 1 : std::max<std::size_t>(1, *std::ranges::max_element(chart.all));
  Plane plane;
  plane.x = chart.axis;
  plane.y = {"rows", 0, 1.05 * static_cast<double>(highest)};
  std::string text = open_svg(plane.width, plane.height, "histogram of " + chart.axis.label);
  text += frame(plane, false);
  const double width = (chart.axis.high - chart.axis.low) /
                       static_cast<double>(std::max<std::size_t>(1, chart.all.size()));
  for (std::size_t i = 0; i < chart.all.size(); ++i) {
    const double x = plane.at_x(chart.axis.low + width * static_cast<double>(i));
    const double next = plane.at_x(chart.axis.low + width * static_cast<double>(i + 1));
    for (const auto& [counts, style] :
         {std::pair{&chart.all, "all"}, std::pair{&chart.part, "part"}}) {
      if ((*counts)[i] == 0) continue;
      const double y = plane.at_y(static_cast<double>((*counts)[i]));
      text += bar(x + 0.5, y, next - x - 1, plane.height - plane.bottom - y, style);
    }
  }
  for (const Mark& mark : chart.marks) {
    if (mark.at < chart.axis.low || mark.at > chart.axis.high) continue;
    const double x = plane.at_x(mark.at);
    text += line(x, plane.top - 4, x, plane.height - plane.bottom, "mark");
    const bool right_half = x > plane.width / 2;
    text += text_at(x + (right_half ? -5 : 5), plane.top + 4, right_half ? "end" : "start",
                    mark.label, "mark");
  }
  return text + "</svg>\n";
}

std::string svg(const ScatterChart& chart) {
  Plane plane{.width = 940,
              .height = 460,
              .left = 52,
              .right = 12,
              .top = 26,
              .bottom = 44,
              .x = chart.x,
              .y = chart.y};
  std::string text =
      open_svg(plane.width, plane.height, chart.y.label + " against " + chart.x.label);
  text += frame(plane, true);
  for (const bool part : {false, true}) {
    for (const ScatterChart::Point& point : chart.points) {
      if (point.part != part) continue;
      text += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\" class=\"{}\">",
                          plane.at_x(std::clamp(point.x, chart.x.low, chart.x.high)),
                          plane.at_y(std::clamp(point.y, chart.y.low, chart.y.high)),
                          part ? "part" : "all");
      text.append("<title>").append(escaped(point.title)).append("</title></circle>\n");
    }
  }
  const double base = plane.height - plane.bottom, end = plane.width - plane.right;
  if (chart.x_mark && *chart.x_mark > chart.x.low && *chart.x_mark < chart.x.high)
    text += line(plane.at_x(*chart.x_mark), plane.top, plane.at_x(*chart.x_mark), base, "mark");
  if (chart.y_mark && *chart.y_mark > chart.y.low && *chart.y_mark < chart.y.high)
    text += line(plane.left, plane.at_y(*chart.y_mark), end, plane.at_y(*chart.y_mark), "mark");
  return text + "</svg>\n";
}

std::string svg(const FunnelChart& chart) {
  constexpr double kWidth = 940, kName = 235, kNumbers = 170, kStep = 34;
  const double height = kStep * static_cast<double>(chart.steps.size());
  const double room = kWidth - kName - kNumbers;
  std::string text = open_svg(kWidth, height, "rows left after each gate");
  double y = 0;
  for (const FunnelChart::Step& step : chart.steps) {
    const double total = static_cast<double>(std::max<std::size_t>(1, chart.total));
    const double kept = room * static_cast<double>(step.count) / total;
    const double before = room * static_cast<double>(step.count + step.dropped) / total;
    text += text_at(0, y + 15, "start", step.name, "strong");
    text += text_at(0, y + 29, "start", step.detail);
    text += bar(kName, y + 4, before, 20, "all", 3);
    text += bar(kName, y + 4, kept, 20, "part", 3);
    text +=
        text_at(kName + before + 8, y + 18, "start",
                fmt::format("{} left ({:.1f} %)", count_text(step.count),
                            100 * static_cast<double>(step.count) / total) +
                    (step.dropped > 0 ? fmt::format(", \u2212{}", count_text(step.dropped)) : ""));
    y += kStep;
  }
  return text + "</svg>\n";
}

}  // namespace reflect::html
