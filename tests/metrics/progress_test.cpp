#include "reflect/metrics/progress.h"

#include <catch2/catch.hpp>

#include "capture.h"

using namespace reflect;
using Catch::Matchers::Matches;

namespace {

template <class Action>
std::string standard_error_of(Action action) {
  return output_of(STDERR_FILENO, action);
}

}  // namespace

TEST_CASE("the last line tells count, rate and time") {
  const std::string text = standard_error_of([] {
    Progress progress("score", "rows", 10, false);
    for (int i = 1; i <= 10; ++i) progress.update(i);
    progress.finish("2 rejected");
    progress.finish("again");
  });
  CHECK_THAT(text, Matches("score: 10/10 rows, [0-9.e+]+ rows/s, 0:00, 2 rejected\n"));
}

TEST_CASE("an unknown total shows the count alone") {
  const std::string text = standard_error_of([] {
    Progress progress("gen", "problems", 0, false);
    progress.update(3);
    progress.finish();
  });
  CHECK_THAT(text, Matches("gen: 3 problems, [0-9.e+]+ problems/s, 0:00\n"));
}

TEST_CASE("quiet prints nothing, and an abandoned line nothing more") {
  CHECK(standard_error_of([] {
          Progress progress("a", "rows", 2, true);
          progress.update(2);
          progress.finish();
        }).empty());
  CHECK(standard_error_of([] { Progress("a", "rows", 2, false).update(1); }).empty());
}
