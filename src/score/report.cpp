#include "score/report.h"

#include <algorithm>
#include <cmath>

#include "reflect/base/random.h"
#include "reflect/metrics/html.h"
#include "score/report_rows.h"

namespace reflect {

namespace {

using html::count_text;
using html::escaped;

std::string figure(std::string_view value, std::string_view label) {
  return fmt::format("<div class=\"figure\"><b>{}</b><span>{}</span></div>\n", value,
                     escaped(label));
}

std::string heading(const ReportInput& input) {
  const Receipt& receipt = input.receipt;
  const ScoreConfig& config = input.config;
  std::string text = "<h1>Scores and selection</h1>\n<p class=\"lead\">";
  text += escaped(fmt::format("{} scored by {}; policy {}, ratio of {}.", config.input,
                              config.model.empty() ? "an earlier run" : config.model,
                              config.selection.policy,
                              config.selection.ratio == "ppl" ? "perplexities" : "losses"));
  text += "</p>\n<div class=\"figures\">\n";
  text += figure(count_text(receipt.rows), "rows scored");
  text += figure(count_text(receipt.kept), "rows kept");
  text += figure(
      fmt::format("{:.1f} %", 100 * static_cast<double>(receipt.kept) /
                                  static_cast<double>(std::max<std::size_t>(1, receipt.rows))),
      "of all rows");
  std::vector<double> ifds, gains;
  for (std::size_t i = 0; i < input.candidates.list().size(); ++i) {
    const Candidate& candidate = input.candidates.list()[i];
    if (candidate.ifd) ifds.push_back(*candidate.ifd);
    if (candidate.gain) gains.push_back(*candidate.gain);
  }
  const auto median = [](std::vector<double>& values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
  };
  if (!ifds.empty()) text += figure(fmt::format("{:.3f}", median(ifds)), "median IFD");
  if (!gains.empty())
    text += figure(fmt::format("{:+.3f}", median(gains)), "median span gain, nats a token");
  return text + "</div>\n";
}

std::string funnel(const ReportInput& input) {
  html::FunnelChart chart{.total = input.receipt.rows, .steps = {}};
  for (const GateYield& gate : input.receipt.gates)
    chart.steps.push_back(
        {std::string(name_of(gate.gate)), gate.setting, gate.out, gate.in - gate.out});
  return "<h2>Gates</h2>\n<p class=\"note\">In the order in which they are applied: "
         "<span class=\"key part\"></span>left, <span class=\"key all\"></span>dropped by this "
         "gate.</p>\n<div class=\"card\">" +
         html::svg(chart) + "</div>\n";
}

std::vector<html::Mark> marks_of(const Histogram& histogram, const SelectionConfig& config) {
  std::vector<html::Mark> marks;
  const auto add = [&](bool on, double at, std::string_view label) {
    if (on) marks.push_back({at, fmt::format("{} {:g}", label, at)});
  };
  if (histogram.score == "IFD") {
    add(config.min_ifd > 0, config.min_ifd, "min");
    add(config.max_ifd > 0, config.max_ifd, "max");
  } else if (histogram.score == "r-IFD") {
    add(config.max_rifd > 0, config.max_rifd, "max");
  } else if (histogram.score == "span gain") {
    add(config.min_gain > kNoGainGate, config.min_gain, "min");
  } else {
    add(config.min_tokens > 0, static_cast<double>(config.min_tokens), "min");
    add(config.max_tokens > 0, static_cast<double>(config.max_tokens), "max");
  }
  return marks;
}

std::string note_of(const Histogram& histogram) {
  std::string note;
  const auto add = [&](std::size_t count, std::string_view what) {
    if (count == 0) return;
    note.append(note.empty() ? "Rows " : "; ").append(what).append(": ").append(count_text(count));
  };
  add(histogram.below, "below the axis");
  add(histogram.above, "beyond the axis");
  add(histogram.absent, "without this score");
  return note.empty() ? "" : "<p class=\"note\">" + escaped(note) + "</p>";
}

std::string histograms(const ReportInput& input) {
  std::string text =
      "<h2>Scores</h2>\n<p class=\"note\"><span class=\"key all\"></span>all rows "
      "<span class=\"key part\"></span>kept rows. IFD: higher is harder for the model, from 1 on "
      "the prompt does not help. r-IFD: low where prompt and response fit. Span gain: what a "
      "reflection saves on its correction.</p>\n<div class=\"grid\">\n";
  for (const Histogram& histogram : input.receipt.histograms) {
    const std::string label = histogram.unit.empty()
                                  ? histogram.score
                                  : fmt::format("{} ({})", histogram.score, histogram.unit);
    const double high =
        histogram.low + histogram.bin_width * static_cast<double>(histogram.all.size());
    text += "<div class=\"card\">" +
            html::svg(html::HistogramChart{{label, histogram.low, high},
                                           histogram.all,
                                           histogram.kept,
                                           marks_of(histogram, input.config.selection)}) +
            note_of(histogram) + "</div>\n";
  }
  return text + "</div>\n";
}

// The middle 98 % of the values, widened to round ends.
html::Axis axis_of(const std::string& label, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t cut = values.size() / 100;
  const double low = values[cut], high = values[values.size() - 1 - cut];
  const std::vector<double> marks = html::ticks(low, high, 6);
  const double step = marks.size() > 1 ? marks[1] - marks[0] : 0.1;
  return {label, std::floor(low / step) * step, std::ceil(high / step + 1e-9) * step};
}

std::string scatter(const ReportInput& input) {
  constexpr std::size_t kMostPoints = 4000;
  std::vector<std::size_t> rows;
  std::vector<double> ifds, rifds;
  for (std::size_t i = 0; i < input.candidates.list().size(); ++i) {
    const Candidate& candidate = input.candidates.list()[i];
    if (!candidate.ifd || !candidate.rifd) continue;
    rows.push_back(i);
    ifds.push_back(*candidate.ifd);
    rifds.push_back(*candidate.rifd);
  }
  if (rows.empty()) return "";
  html::ScatterChart chart{.x = axis_of("IFD", ifds),
                           .y = axis_of("r-IFD", rifds),
                           .points = {},
                           .x_mark = {},
                           .y_mark = {}};
  const std::size_t all = rows.size();
  if (all > kMostPoints) {
    Random(static_cast<std::uint64_t>(input.config.runtime.seed), "scatter").shuffle(rows);
    rows.resize(kMostPoints);
  }
  for (const std::size_t i : rows) {
    const Candidate& candidate = input.candidates.list()[i];
    const Decision decision = input.selection.decisions[i];
    chart.points.push_back({*candidate.ifd, *candidate.rifd, decision == Decision::kKept,
                            fmt::format("{}: IFD {:.3f}, r-IFD {:.3f}, {}", input.candidates.id(i),
                                        *candidate.ifd, *candidate.rifd, reason_of(decision))});
  }
  const SelectionConfig& selection = input.config.selection;
  if (selection.max_ifd > 0) chart.x_mark = selection.max_ifd;
  if (selection.max_rifd > 0) chart.y_mark = selection.max_rifd;
  const std::string sample =
      all > kMostPoints
          ? fmt::format(" {} of {} rows at random.", count_text(kMostPoints), count_text(all))
          : "";
  return "<h2>IFD against r-IFD</h2>\n<p class=\"note\"><span class=\"key all\"></span>dropped "
         "<span class=\"key part\"></span>kept; dashed: the gates." +
         sample + "</p>\n<div class=\"card\">" + html::svg(chart) + "</div>\n";
}

std::string sensitivity(const ReportInput& input) {
  if (input.receipt.sensitivity.empty()) return "";
  std::string text =
      "<h2>Sensitivity</h2>\n<p class=\"note\">How many rows would be kept with another value of "
      "one setting, all else as it is.</p>\n<div class=\"grid\">\n";
  for (const Sensitivity& one : input.receipt.sensitivity) {
    std::string values, counts;
    for (const auto& point : one.points) {
      const char* now = point.value == one.value ? " class=\"now\"" : "";
      values += fmt::format("<th{}>{:.4g}</th>", now, point.value);
      counts += fmt::format("<td{}>{}</td>", now,
                            point.unscored == 0 ? count_text(point.kept) : point.text());
    }
    text += fmt::format(
        "<div class=\"card\"><h3>{}</h3><div class=\"scroll\"><table><tr><th>value</th>{}</tr>"
        "<tr><td>rows kept</td>{}</tr></table></div></div>\n",
        escaped(one.setting), values, counts);
  }
  return text + "</div>\n";
}

}  // namespace

std::string report_html(const ReportInput& input) {
  std::string body = heading(input);
  body += funnel(input) + histograms(input) + scatter(input) + sensitivity(input);
  body += example_rows(input);
  body += fmt::format(
      "<footer>reflect-score {}. docs/scoring.md explains every number; {} holds all rows, {} the "
      "counts of this page.</footer>\n",
      REFLECT_VERSION, escaped(input.config.output),
      escaped(input.config.output + ".receipt.json"));
  return html::page("reflect-score: " + input.config.output, body);
}

}  // namespace reflect
