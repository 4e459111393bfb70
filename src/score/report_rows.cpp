#include "score/report_rows.h"

#include <algorithm>
#include <cmath>

#include "reflect/metrics/html.h"

namespace reflect {

namespace {

using html::escaped;

constexpr std::size_t kRowsPerGroup = 4;
constexpr std::size_t kMostBytes = 3000;  // of one text on the page

// The rows with the highest `key`; those without one take no part. Ties go to the earlier row.
template <class Key>
std::vector<std::size_t> highest(std::size_t rows, Key key) {
  std::vector<std::pair<double, std::size_t>> keyed;
  for (std::size_t i = 0; i < rows; ++i)
    if (const std::optional<double> value = key(i)) keyed.emplace_back(-*value, i);
  const std::size_t count = std::min(kRowsPerGroup, keyed.size());
  std::partial_sort(keyed.begin(), keyed.begin() + static_cast<std::ptrdiff_t>(count), keyed.end());
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < count; ++i) found.push_back(keyed[i].second);
  return found;
}

// How far a row is from the nearest threshold of IFD and r-IFD that is on.
std::optional<double> distance_to_gate(const Candidate& candidate, const SelectionConfig& config) {
  std::optional<double> nearest;
  const auto look = [&](bool on, const std::optional<double>& value, double threshold) {
    if (!on || !value) return;
    const double distance = std::abs(*value - threshold);
    if (!nearest || distance < *nearest) nearest = distance;
  };
  look(config.min_ifd > 0, candidate.ifd, config.min_ifd);
  look(config.max_ifd > 0, candidate.ifd, config.max_ifd);
  look(config.max_rifd > 0, candidate.rifd, config.max_rifd);
  look(config.min_gain > kNoGainGate, candidate.gain, config.min_gain);
  return nearest;
}

// `text` up to a whole character at or before `most` bytes.
std::string_view cut(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return text.substr(0, most);
}

std::string coloured(const Record& record) {
  const std::string response = instruction_fields(record).output;
  const std::string_view shown = cut(response, kMostBytes);
  const bool fits = !record.spans.empty() && record.spans.back().end == response.size();
  std::string text;
  if (!fits) {
    text = escaped(shown);
  } else {
    for (const Span& span : record.spans) {
      const std::size_t end = std::min(span.end, shown.size());
      if (span.begin >= end) break;
      text += fmt::format("<span class=\"{}\">{}</span>", name_of(span.type),
                          escaped(shown.substr(span.begin, end - span.begin)));
    }
  }
  if (shown.size() < response.size())
    text += fmt::format("<span class=\"format\"> \u2026 {} bytes more</span>",
                        response.size() - shown.size());
  return text;
}

std::string number(std::string_view name, const std::optional<double>& value,
                   std::string_view unit) {
  return value ? fmt::format("<span>{} <b>{:.3f}</b>{}</span>\n", name, *value, unit) : "";
}

std::string detail_text(const Json& row) {
  const auto detail = row.find("decision_detail");
  if (detail == row.end()) return "";
  if (detail->contains("duplicate_of"))
    return fmt::format("like {}, similarity {:.2f}", detail->at("duplicate_of").get<std::string>(),
                       detail->at("similarity").get<double>());
  return fmt::format("{}, line {}: \u201c{}\u201d", detail->at("file").get<std::string>(),
                     detail->at("line").get<std::size_t>(), detail->at("ngram").get<std::string>());
}

std::string card(const Json& row, const Candidate& candidate, Decision decision) {
  const Record record = record_of(row, "report");
  const std::string verdict = decision == Decision::kKept ? "kept" : "dropped";
  std::string text = "<div class=\"card row\"><header>";
  text += fmt::format("<span class=\"chip {}\">{}</span>\n", verdict, reason_of(decision));
  text += fmt::format("<span class=\"id\">{}</span>\n", escaped(record.id));
  text += number("IFD", candidate.ifd, "") + number("r-IFD", candidate.rifd, "");
  text += number("gain", candidate.gain, " nats a token");
  text += fmt::format("<span><b>{}</b> tokens</span>\n", candidate.tokens);
  if (const std::string detail = detail_text(row); !detail.empty())
    text += "<span>" + escaped(detail) + "</span>";
  text += "</header>\n<div class=\"text prompt\">";
  text.append(escaped(cut(record.prompt(), kMostBytes))).append("</div>\n<div class=\"text\">");
  return text.append(coloured(record)).append("</div></div>\n");
}

}  // namespace

std::vector<ExampleGroup> example_groups(const ScoreConfig& config, const Candidates& candidates,
                                         const Selection& selection) {
  const std::vector<Candidate>& list = candidates.list();
  const auto kept_ifd = [&](double sign) {
    return [&, sign](std::size_t i) -> std::optional<double> {
      if (selection.decisions[i] != Decision::kKept || !list[i].ifd) return std::nullopt;
      return sign * *list[i].ifd;
    };
  };
  std::vector<ExampleGroup> groups;
  groups.push_back({"Hardest rows that were kept", "Highest IFD: the prompt helps least.",
                    highest(list.size(), kept_ifd(1))});
  groups.push_back({"Easiest rows that were kept", "Lowest IFD: the prompt says almost all.",
                    highest(list.size(), kept_ifd(-1))});
  groups.push_back({"Borderline rows", "Next to a threshold, on either side.",
                    highest(list.size(), [&](std::size_t i) -> std::optional<double> {
                      const auto distance = distance_to_gate(list[i], config.selection);
                      return distance ? std::optional(-*distance) : std::nullopt;
                    })});
  groups.push_back({"Reflections that help least", "Lowest span gain: decoration, or harm.",
                    highest(list.size(), [&](std::size_t i) -> std::optional<double> {
                      return list[i].gain ? std::optional(-*list[i].gain) : std::nullopt;
                    })});
  std::erase_if(groups, [](const ExampleGroup& group) { return group.rows.empty(); });
  return groups;
}

std::string example_rows(const ReportInput& input) {
  std::string text =
      "<h2>Rows to read</h2>\n<p class=\"text\"><span class=\"error\">mistake</span> "
      "<span class=\"reflection\">reflection</span> <span class=\"correction\">correction</span> "
      "<span class=\"output\">final answer</span></p>\n";
  for (const ExampleGroup& group : input.groups) {
    text += fmt::format("<h2>{}</h2>\n<p class=\"note\">{}</p>\n", escaped(group.title),
                        escaped(group.note));
    for (const std::size_t i : group.rows)
      text += card(input.examples.at(i), input.candidates.list()[i], input.selection.decisions[i]);
  }
  return text;
}

}  // namespace reflect
