#include "reflect/score/select.h"

#include <catch2/catch.hpp>
#include <set>

#include "reflect/base/error.h"

namespace reflect {
namespace {

Candidate row(double ifd, double rifd = 0.5) {
  static int next = 0;
  return {.group = "row " + std::to_string(next++), .variant = "", .ifd = ifd, .rifd = rifd};
}

Candidate variant(const std::string& name, double ifd, double rifd,
                  const std::string& group = "g") {
  return {.group = group, .variant = name, .ifd = ifd, .rifd = rifd};
}

Candidate failed(ScoreStatus status, const std::string& group, const std::string& name = "") {
  return {.group = group, .variant = name, .status = status};
}

std::vector<std::string> reasons(const std::vector<Candidate>& candidates,
                                 const SelectionConfig& config) {
  std::vector<std::string> names;
  for (const Decision decision : select(candidates, config).decisions)
    names.emplace_back(reason_of(decision));
  return names;
}

using Names = std::vector<std::string>;

SelectionConfig policy(const std::string& name) {
  SelectionConfig config;
  config.policy = name;
  return config;
}

}  // namespace

TEST_CASE("gates are strict and come after the status") {
  std::vector<Candidate> candidates = {row(0.5), row(1.0), row(0.5, 1.0), row(0.999, 0.999),
                                       row(2, 2)};
  candidates.push_back(failed(ScoreStatus::kTooLong, "f"));
  candidates.push_back(failed(ScoreStatus::kEmpty, "g"));
  candidates.push_back(failed(ScoreStatus::kNonFinite, "h"));
  candidates.push_back(failed(ScoreStatus::kPrefiltered, "i"));
  CHECK(reasons(candidates, {}) == Names{"kept", "high_ifd", "high_rifd", "kept", "high_ifd",
                                         "too_long", "empty", "non_finite", "prefiltered"});
  SelectionConfig open;
  open.max_ifd = 0;
  open.max_rifd = 0;
  CHECK(reasons(candidates, open) == Names{"kept", "kept", "kept", "kept", "kept", "too_long",
                                           "empty", "non_finite", "prefiltered"});
}

TEST_CASE("a failed row never passes as best") {
  // In the published script a failure is (0, 0), which `< 1` accepts.
  const std::vector<Candidate> candidates = {
      {.group = "a", .variant = "original", .ifd = 0.5, .rifd = 0.5},
      failed(ScoreStatus::kNonFinite, "a", "A")};
  CHECK(reasons(candidates, policy("selective-paper")) == Names{"kept", "non_finite"});
}

TEST_CASE("r-IFD that was not scored is no reason to drop") {
  CHECK(reasons({{.group = "a", .variant = "", .ifd = 0.5, .rifd = std::nullopt}}, {}) ==
        Names{"kept"});
}

TEST_CASE("top fraction keeps the highest IFD, a share of all rows, earlier row first") {
  SelectionConfig config;
  config.top_fraction = 0.4;
  CHECK(reasons({row(0.1), row(0.9), row(1.5), row(0.5), row(0.5)}, config) ==
        Names{"below_top", "kept", "high_ifd", "kept", "below_top"});
  config.top_fraction = 0.8;  // more than are left: all of them
  CHECK(reasons({row(0.1), row(1.9), row(1.5), row(1.5), row(0.5)}, config) ==
        Names{"kept", "high_ifd", "high_ifd", "high_ifd", "kept"});
}

TEST_CASE("selective policies choose among the four candidates") {
  struct Case {
    double original_ifd, q_ifd, original_rifd, q_rifd, a_rifd, qa_rifd;
    Names paper, script;  // of original, Q, A, QA
  };
  const Names qa = {"not_chosen", "not_chosen", "not_chosen", "kept"};
  const Names a = {"not_chosen", "not_chosen", "kept", "not_chosen"};
  const Names q = {"not_chosen", "kept", "not_chosen", "not_chosen"};
  const Names original = {"kept", "not_chosen", "not_chosen", "not_chosen"};
  const Names no_q = {"not_chosen", "not_reflected", "not_chosen", "not_chosen"};
  const Names no_original = {"not_reflected", "not_chosen", "not_chosen", "not_chosen"};
  const Case cases[] = {
      {0.5, 0.6, 0.5, 0.5, 0.1, 0.4, qa, qa},
      {0.5, 0.6, 0.5, 0.5, 0.1, 0.5, q, no_q},  // equal r-IFD does not win
      {0.5, 0.5, 0.5, 0.5, 0.4, 0.1, a, a},     // equal IFD does not win
      {0.5, 0.4, 0.5, 0.5, 0.5, 0.1, original, no_original},
  };
  for (const Case& c : cases) {
    const std::vector<Candidate> group = {
        variant("original", c.original_ifd, c.original_rifd), variant("Q", c.q_ifd, c.q_rifd),
        variant("A", 0.5, c.a_rifd), variant("QA", 0.5, c.qa_rifd)};
    CHECK(reasons(group, policy("selective-paper")) == c.paper);
    CHECK(reasons(group, policy("selective-script")) == c.script);
  }
}

TEST_CASE("the gates hold for the chosen candidate") {
  const std::vector<Candidate> group = {variant("original", 0.5, 0.9), variant("Q", 0.6, 0.8),
                                        variant("A", 0.5, 0.1), variant("QA", 1.2, 0.7)};
  CHECK(reasons(group, policy("selective-script")) ==
        Names{"not_chosen", "not_chosen", "not_chosen", "high_ifd"});
}

TEST_CASE("groups are apart, and one without a usable original has nothing to compare with") {
  std::vector<Candidate> candidates = {
      variant("A", 0.5, 0.1, "x"), variant("original", 0.5, 0.5, "y"), variant("A", 0.5, 0.1, "y"),
      variant("original", 0.5, 0.5, "x"), variant("Q", 0.9, 0.1, "z")};
  CHECK(reasons(candidates, policy("selective-paper")) ==
        Names{"kept", "not_chosen", "kept", "not_chosen", "incomplete_group"});
}

TEST_CASE("every gate drops with its reason, in the stated order") {
  SelectionConfig config;
  config.min_ifd = 0.2;
  config.min_gain = 0.05;
  config.min_tokens = 10;
  config.max_tokens = 100;
  const auto good = [](auto change) {
    Candidate candidate = row(0.5);
    candidate.tokens = 50;
    change(candidate);
    return candidate;
  };
  const std::vector<Candidate> candidates = {
      good([](Candidate&) {}),
      good([](Candidate& c) { c.correct = true; }),
      good([](Candidate& c) { c.correct = false, c.ifd = 2, c.contaminated = true; }),
      good([](Candidate& c) { c.ifd = 0.1, c.tokens = 1; }),
      good([](Candidate& c) { c.ifd = 1, c.rifd = 3; }),
      good([](Candidate& c) { c.rifd = 1, c.gain = 0; }),
      good([](Candidate& c) { c.gain = 0.04, c.tokens = 5; }),
      good([](Candidate& c) { c.gain = 0.05; }),
      good([](Candidate& c) { c.tokens = 9, c.contaminated = true; }),
      good([](Candidate& c) { c.tokens = 101; }),
      good([](Candidate& c) { c.content = 7; }),
      good([](Candidate& c) { c.content = 7, c.contaminated = true; }),
      good([](Candidate& c) { c.contaminated = true; })};
  CHECK(reasons(candidates, config) == Names{"kept", "kept", "wrong_answer", "low_ifd", "high_ifd",
                                             "high_rifd", "low_gain", "kept", "short_response",
                                             "long_response", "kept", "duplicate", "contaminated"});
  const Selection selection = select(candidates, config);
  REQUIRE(selection.duplicate_of.contains(11));
  CHECK(selection.duplicate_of.at(11).text == 10);
  CHECK(selection.kept() == 4);
  config.exact_duplicates = false;
  CHECK(reasons(candidates, config)[11] == "contaminated");
}

TEST_CASE("a duplicate of a row that another gate dropped stays") {
  std::vector<Candidate> candidates = {row(1.5), row(0.5), row(0.5)};
  for (Candidate& candidate : candidates) candidate.content = 1;
  CHECK(reasons(candidates, {}) == Names{"high_ifd", "kept", "duplicate"});
}

TEST_CASE("near duplicates are dropped among the rows that are left") {
  NearDuplicates near({.lowest_threshold = 0.7});
  for (const char* text : {"a b c d e f g", "a b c d e f g", "A b c d e f g!", "other words here"})
    near.add(Words(text));
  SelectionConfig config;
  config.near_duplicates = 0.8;
  const std::vector<Candidate> candidates = {row(1.5), row(0.5), row(0.5), row(0.5)};
  const Selection selection = select(candidates, config, {.near_duplicates = &near});
  CHECK(selection.decisions == std::vector<Decision>{Decision::kHighIfd, Decision::kKept,
                                                     Decision::kNearDuplicate, Decision::kKept});
  CHECK(selection.duplicate_of.at(2).text == 1);
  CHECK(selection.duplicate_of.at(2).similarity == 1);
}

TEST_CASE("a wrong candidate wins nothing, but a wrong original is still compared with") {
  auto original = variant("original", 0.5, 0.5), a = variant("A", 0.5, 0.1);
  a.correct = false;
  CHECK(reasons({original, a}, policy("selective-paper")) == Names{"kept", "wrong_answer"});
  original.correct = false;
  CHECK(reasons({original, a}, policy("selective-paper")) == Names{"wrong_answer", "wrong_answer"});
  a.correct = true;
  CHECK(reasons({original, a}, policy("selective-paper")) == Names{"wrong_answer", "kept"});
}

TEST_CASE("superfilter ranks, then spreads; diverse spreads over all that is left") {
  std::vector<Candidate> candidates;
  for (int i = 0; i < 10; ++i) candidates.push_back(row(0.1 * i));  // the last: 0.9
  std::vector<std::size_t> pool;
  const DiverseChoice last = [&](const std::vector<std::size_t>& rows, std::size_t count) {
    pool = rows;
    return std::vector<std::size_t>(rows.end() - static_cast<std::ptrdiff_t>(count), rows.end());
  };
  SelectionConfig config = policy("superfilter");
  config.pool_fraction = 0.4;
  config.top_fraction = 0.2;
  const auto chosen = select(candidates, config, {.diverse = last}).decisions;
  CHECK(pool == std::vector<std::size_t>{6, 7, 8, 9});
  CHECK(std::count(chosen.begin(), chosen.end(), Decision::kBelowTop) == 6);
  CHECK(std::count(chosen.begin(), chosen.end(), Decision::kNotDiverse) == 2);
  CHECK(chosen[9] == Decision::kKept);
  config.policy = "diverse";
  CHECK(select(candidates, config, {.diverse = last}).kept() == 2);
  CHECK(pool.size() == 10);
  CHECK(select(candidates, config).kept() == 2);  // without a choice the count is the same
}

TEST_CASE("the policy cherry is the top fraction") {
  SelectionConfig config = policy("cherry");
  CHECK_THROWS_AS(select({}, config), Error);  // of what size?
  config.top_fraction = 0.5;
  CHECK(reasons({row(0.1), row(0.9)}, config) == Names{"below_top", "kept"});
}

TEST_CASE("every decision has a reason of its own and a gate in order") {
  std::set<std::string_view> reasons_seen;
  Gate last = Gate::kPrefilter;
  for (int i = 0; i < kDecisions; ++i) {
    const auto decision = static_cast<Decision>(i);
    CHECK_FALSE(reason_of(decision).empty());
    reasons_seen.insert(reason_of(decision));
    CHECK(gate_of(decision) >= last);
    last = gate_of(decision);
    CHECK_FALSE(name_of(last).empty());
  }
  CHECK(reasons_seen.size() == kDecisions);
  CHECK(static_cast<int>(last) == kGates - 1);
}

TEST_CASE("selection refuses fractions and gates that mean nothing") {
  SelectionConfig config;
  config.top_fraction = 0;
  CHECK_THROWS_AS(select({}, config), Error);
  config.top_fraction = 1.5;
  CHECK_THROWS_AS(select({}, config), Error);
  config.top_fraction = 1;
  config.max_ifd = -1;
  CHECK_THROWS_AS(select({}, config), Error);
  const auto refuses = [](auto change) {
    SelectionConfig bad;
    change(bad);
    CHECK_THROWS_AS(select({}, bad), Error);
  };
  refuses([](SelectionConfig& c) { c.min_ifd = 1; });
  refuses([](SelectionConfig& c) { c.min_ifd = -0.1; });
  refuses([](SelectionConfig& c) { c.near_duplicates = 1.1; });
  refuses([](SelectionConfig& c) { c.min_tokens = 5, c.max_tokens = 4; });
  refuses([](SelectionConfig& c) { c.min_tokens = -1; });
  refuses([](SelectionConfig& c) { c.policy = "diverse"; });
  refuses([](SelectionConfig& c) { c.policy = "superfilter", c.top_fraction = 0.5; });
}

}  // namespace reflect
