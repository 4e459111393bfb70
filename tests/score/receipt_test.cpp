#include "score/receipt.h"

#include <catch2/catch.hpp>
#include <numeric>

#include "reflect/base/error.h"
#include "reflect/base/random.h"
#include "score/random_control.h"
#include "temp_folder.h"

namespace reflect {
namespace {

Json scored_row(std::uint64_t i) {
  Random random(1, "receipt_test", {i});
  const std::string number = std::to_string(random.below(120));
  Json row = {
      {"id", "r" + std::to_string(i)},
      {"prompt", std::string(random.chance(0.3) ? "How" : "how") +
                     " many pens has Ann after she bought " + number + " more in the shop?"},
      {"response", number},
      {"answer", random.chance(0.1) ? "-1" : number},
      {"scores",
       {{"status", random.chance(0.05) ? "too_long" : "ok"},
        {"ifd_ppl", 0.2 + random.uniform()},
        {"rifd_ppl", 0.2 + random.uniform()},
        {"response_tokens", random.between(3, 60)}}}};
  if (random.chance(0.5))
    row["scores"]["gains"] = {{{"round", 1}, {"gain", random.normal()}, {"tokens", 5}}};
  return row;
}

ScoreConfig config_with(auto change) {
  ScoreConfig config;
  change(config);
  return config;
}

std::vector<Json> scored_rows() {
  std::vector<Json> rows;
  for (std::uint64_t i = 0; i < 400; ++i) rows.push_back(scored_row(i));
  return rows;
}

// The rows as a run behind this prefilter leaves them.
std::vector<Json> prefiltered_rows(const PrefilterConfig& config) {
  std::vector<Json> rows = scored_rows();
  std::vector<PrefilterScore> small;
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    small.push_back({.ifd_ppl = 0.3 + Random(2, "receipt_test", {i}).uniform()});
  const Prefilter prefilter(config, small);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const PrefilterVerdict verdict = prefilter.verdict(i);
    if (verdict.status == ScoreStatus::kPrefiltered)
      rows[i]["scores"] = {{"status", "prefiltered"}};
    rows[i]["scores"]["prefilter"] = verdict.scores;
  }
  return rows;
}

struct Selected {
  explicit Selected(const ScoreConfig& given, const std::vector<Json>& rows = scored_rows())
      : config(given), candidates(config) {
    for (const Json& row : rows) candidates.add(row);
    selection = select(candidates.list(), config.selection,
                       {.near_duplicates = candidates.near_duplicates(), .diverse = {}});
    receipt = receipt_of(config, candidates, selection);
  }
  ScoreConfig config;
  Candidates candidates;
  Selection selection;
  Receipt receipt;
};

const Selected& everything() {
  static const TempFolder folder;
  static const Selected selected(config_with([](ScoreConfig& c) {
    std::string benchmark;
    for (int i = 5; i < 12; ++i)
      benchmark += fmt::format(
          "{{\"q\": \"How many pens has Ann after she bought {} more in the shop?\"}}\n", i);
    write_file_atomic(folder / "test.jsonl", benchmark);
    c.selection.min_ifd = 0.25;
    c.selection.min_gain = -1;
    c.selection.min_tokens = 5;
    c.selection.max_tokens = 55;
    c.selection.near_duplicates = 0.99;
    c.selection.top_fraction = 0.08;
    c.decontaminate = {folder / "test.jsonl"};
  }));
  return selected;
}

}  // namespace

TEST_CASE("the counts of a receipt add up") {
  const Receipt& receipt = everything().receipt;
  CHECK(receipt.rows == 400);
  CHECK(receipt.gates.size() == 10);  // all but choice and diversity
  std::size_t left = receipt.rows;
  for (const GateYield& gate : receipt.gates) {
    INFO(name_of(gate.gate));
    CHECK(gate.in == left);
    std::size_t dropped = 0;
    for (const auto& [reason, count] : gate.dropped) dropped += count;
    CHECK(gate.in - dropped == gate.out);
    CHECK(dropped > 0);  // every gate has something to do here
    left = gate.out;
  }
  CHECK(left == receipt.kept);
  CHECK(receipt.kept == 32);
  for (const Histogram& histogram : receipt.histograms) {
    const auto sum = [](const std::vector<std::size_t>& counts) {
      return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
    };
    CHECK(sum(histogram.all) + histogram.below + histogram.above + histogram.absent == 400);
    CHECK(sum(histogram.kept) <= receipt.kept);
    CHECK(histogram.all.size() <= 42);
  }
  CHECK(receipt.histograms.size() == 4);
}

TEST_CASE("each sweep holds the setting itself with the real count") {
  const Receipt& receipt = everything().receipt;
  CHECK(receipt.sensitivity.size() == 9);
  for (const Sensitivity& one : receipt.sensitivity) {
    INFO(one.setting);
    CHECK(one.points.size() >= 3);
    std::size_t itself = 0;
    for (std::size_t i = 0; i < one.points.size(); ++i) {
      if (i > 0) CHECK(one.points[i].value > one.points[i - 1].value);
      if (one.points[i].value != one.value) continue;
      ++itself;
      CHECK(one.points[i].kept == receipt.kept);
    }
    CHECK(itself == 1);
  }
}

TEST_CASE("a sweep counts what a run with that setting keeps") {
  const Selected base(config_with([](ScoreConfig& c) { c.selection.max_ifd = 0.8; }));
  const auto& points = base.receipt.sensitivity.front().points;
  REQUIRE(base.receipt.sensitivity.front().setting == "selection.max-ifd");
  for (const auto& point : points) {
    const Selected other(config_with([&](ScoreConfig& c) { c.selection.max_ifd = point.value; }));
    CHECK(other.receipt.kept == point.kept);
  }
  CHECK(points.front().kept < points.back().kept);
}

TEST_CASE("a sweep of the prefilter bounds what a run with that prefilter keeps") {
  const auto run = [](double keep, double max_ifd) {
    const ScoreConfig config = config_with([&](ScoreConfig& c) {
      c.prefilter = {.model = "small", .keep = keep, .max_ifd = max_ifd};
      c.selection.max_ifd = 0.8;
    });
    return Selected(config, prefiltered_rows(config.prefilter));
  };
  const Selected base = run(0.5, 1);
  const std::vector<Sensitivity>& sweeps = base.receipt.sensitivity;
  REQUIRE(sweeps[0].setting == "prefilter.keep");
  REQUIRE(sweeps[1].setting == "prefilter.max-ifd");
  for (const bool of_keep : {true, false}) {
    std::size_t open = 0;
    for (const auto& point : sweeps[of_keep ? 0 : 1].points) {
      const std::size_t real = (of_keep ? run(point.value, 1) : run(0.5, point.value)).receipt.kept;
      INFO(point.value << " " << point.text() << " " << real);
      CHECK(point.kept <= real);
      CHECK(real <= point.kept + point.unscored);
      open += point.unscored > 0;
    }
    CHECK(open > 0);
    CHECK(open < sweeps[of_keep ? 0 : 1].points.size());
  }
  CHECK(sweeps[0].points.front().kept < base.receipt.kept);
}

TEST_CASE("a sweep of the decontamination counts what a run with that ratio keeps") {
  const TempFolder folder;
  write_file_atomic(folder / "test.jsonl",
                    "{\"q\": \"How many pens has Ann after she bought 7 more in the shop?\"}\n");
  const auto run = [&](double ratio) {
    return Selected(config_with([&](ScoreConfig& c) {
      c.decontaminate = {folder / "test.jsonl"};
      c.decontaminate_ratio = ratio;
    }));
  };
  const Selected base = run(0.3);
  const Sensitivity& sweep = base.receipt.sensitivity.back();
  REQUIRE(sweep.setting == "decontaminate-ratio");
  for (const auto& point : sweep.points) CHECK(run(point.value).receipt.kept == point.kept);
  CHECK(sweep.points.front().kept == 0);
  CHECK(sweep.points.back().kept == base.receipt.kept);
  CHECK(base.receipt.kept > 0);
}

TEST_CASE("gates that are off are not listed") {
  const Selected open(config_with([](ScoreConfig& c) {
    c.selection.max_ifd = c.selection.max_rifd = 0;
    c.selection.correct = "off";
    c.selection.exact_duplicates = false;
  }));
  REQUIRE(open.receipt.gates.size() == 1);
  CHECK(open.receipt.gates[0].gate == Gate::kStatus);
  CHECK(open.receipt.sensitivity.empty());
  CHECK(open.receipt.json().at("gates").size() == 1);
  CHECK(open.receipt.table().find("status") != std::string::npos);
}

TEST_CASE("the random control has the size of the selection and only usable rows") {
  const Selected& all = everything();
  const auto control = random_control(all.candidates, all.config.selection, 100, 0);
  CHECK(control.size() == 100);
  CHECK(std::is_sorted(control.begin(), control.end()));
  std::size_t kept = 0;
  for (const std::size_t row : control) {
    const Candidate& candidate = all.candidates.list()[row];
    CHECK(candidate.status == ScoreStatus::kOk);
    CHECK(candidate.correct == true);
    CHECK_FALSE(candidate.contaminated);
    kept += all.selection.decisions[row] == Decision::kKept;
  }
  CHECK(kept < 32);  // it does not follow the selection
  CHECK(random_control(all.candidates, all.config.selection, 100, 0) == control);
  CHECK(random_control(all.candidates, all.config.selection, 100, 1) != control);
  // A smaller control is part of a bigger one: the draw does not depend on the size.
  for (const std::size_t row : random_control(all.candidates, all.config.selection, 50, 0))
    CHECK(std::binary_search(control.begin(), control.end(), row));
  CHECK(random_control(all.candidates, all.config.selection, 4000, 0).size() < 400);
}

}  // namespace reflect
