#include "reflect/score/select.h"

#include <catch2/catch.hpp>

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
  return {group, name, status, std::nullopt, std::nullopt};
}

std::vector<std::string> reasons(const std::vector<Candidate>& candidates,
                                 const SelectionConfig& config) {
  std::vector<std::string> names;
  for (const Decision decision : select(candidates, config))
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
  CHECK(reasons(candidates, {}) == Names{"kept", "high_ifd", "high_rifd", "kept", "high_ifd",
                                         "too_long", "empty", "non_finite"});
  SelectionConfig open;
  open.max_ifd = 0;
  open.max_rifd = 0;
  CHECK(reasons(candidates, open) ==
        Names{"kept", "kept", "kept", "kept", "kept", "too_long", "empty", "non_finite"});
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

TEST_CASE("selection refuses fractions and gates that mean nothing") {
  SelectionConfig config;
  config.top_fraction = 0;
  CHECK_THROWS_AS(select({}, config), Error);
  config.top_fraction = 1.5;
  CHECK_THROWS_AS(select({}, config), Error);
  config.top_fraction = 1;
  config.max_ifd = -1;
  CHECK_THROWS_AS(select({}, config), Error);
}

}  // namespace reflect
