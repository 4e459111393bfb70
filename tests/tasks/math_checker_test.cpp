// Mathematical answers that are worth the same, and such that are not.
#include "reflect/tasks/math_checker.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "reflect/base/random.h"

using namespace reflect;

namespace {

std::string reason(std::string_view answer, std::string_view gold) {
  return check_math(answer, gold).reason;
}

using Pairs = std::vector<std::pair<const char*, const char*>>;

void all_are(const Pairs& pairs, bool right) {
  for (const auto& [answer, gold] : pairs) {
    INFO(answer << " for " << gold);
    CHECK(check_math(answer, gold).right == right);
    CHECK(check_math(gold, answer).right == right);
  }
}

}  // namespace

TEST_CASE("numbers are compared exactly in every spelling") {
  all_are({{"\\frac{1}{2}", "0.5"},
           {"\\frac12", "1/2"},
           {"\\dfrac{3}{6}", "\\tfrac{1}{2}"},
           {"12+6", "18"},
           {"2 \\cdot 3^2", "18"},
           {"2\\frac{1}{2}", "2.5"},
           {"1{,}000", "1000"},
           {"12,345", "12345"},
           {"50\\%", "0.5"},
           {"50\\%", "50"},
           {"\\$18.00", "18"},
           {"5\\text{ cm}", "5"},
           {"5\\text{ cm}^2", "5"},
           {"90^\\circ", "90"},
           {"90^{\\circ}", "90 degrees"},
           {"5!", "120"},
           {"2^{10}", "1024"},
           {"2^{-2}", "0.25"},
           {"8^{1/3}", "2"},
           {"\\sqrt{16}", "4"},
           {"\\sqrt[3]{-27}", "-3"},
           {"\\sqrt{\\frac{1}{4}}", "0.5"},
           {"|{-3}|", "3"},
           {"\\left(\\frac{1}{2}\\right)^2", "0.25"},
           {"10^{40}", "10^{20} * 10^{20}"},
           {"\\log_2 8", "3"},
           {"-(-3)", "3"}},
          true);
  all_are({{"0.33", "1/3"},
           {"0.3333333333333333", "\\frac{1}{3}"},
           {"2^{200}", "2^{200}+1"},
           {"1,00", "100"},
           {"\\frac{1}{2}", "2"},
           {"5\\%", "0.5"},
           {"2^{10}", "210"},
           {"1/0", "1/0 + 1"},
           {"\\sqrt{-4}", "2"}},
          false);
}

TEST_CASE("irrational values and variables are compared by what they are worth") {
  all_are({{"\\sqrt{8}", "2\\sqrt{2}"},
           {"\\frac{1}{\\sqrt{2}}", "\\frac{\\sqrt2}{2}"},
           {"\\frac{\\sqrt{5}+1}{2}", "\\frac{2}{\\sqrt{5}-1}"},
           {"2\\pi", "\\pi \\cdot 2"},
           {"4\\pi\\text{ cm}^2", "4\\pi"},
           {"\\sin^2 x + \\cos^2 x", "1"},
           {"\\sin \\frac{\\pi}{6}", "0.5"},
           {"\\ln(e^2)", "2"},
           {"e^{i\\pi}", "-1"},
           {"(x+1)^2", "x^2+2x+1"},
           {"\\frac{x^2-1}{x-1}", "x+1"},
           {"2xy", "y x * 2"},
           {"x_1 + x_2", "x_{2}+x_{1}"},
           {"3 - 2i", "-2i + 3"},
           {"(3+i)(3-i)", "10"},
           {"\\frac{3}{2x}", "1.5/x"}},
          true);
  all_are({{"1.414", "\\sqrt{2}"},
           {"3.14159", "\\pi"},
           {"x+1", "x-1"},
           {"x", "y"},
           {"x_1", "x_2"},
           {"2x", "x^2"},
           {"(x+1)^2", "x^2+1"},
           {"\\sin x", "\\cos x"},
           {"3+2i", "3-2i"}},
          false);
}

TEST_CASE("tuples, intervals, sets, lists, matrices") {
  all_are({{"(1, 2)", "\\left( 1, \\frac{4}{2} \\right)"},
           {"(1,200)", "(1, 200)"},
           {"[0, \\infty)", "[0,\\infty)"},
           {"(-\\infty, 1) \\cup [2, 3]", "[2,3]\\cup(-\\infty,1)"},
           {"\\{1, 2\\}", "\\{2, 1\\}"},
           {"1, 2", "2,1"},
           {"1 or 2", "\\{1,2\\}"},
           {"1 \\text{ and } 2", "1, 2"},
           {"x = 1 or x = 2", "1,2"},
           {"x=1,2", "1, 2"},
           {"1 \\pm \\sqrt{2}", "1+\\sqrt{2}, 1-\\sqrt{2}"},
           {"x = 5", "5"},
           {"y = 2x + 3", "2x+3"},
           {"(x, y) = (1, 2)", "(1, 2)"},
           {"\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
            "\\begin{bmatrix} 1 & 4/2 \\\\ 3 & 4 \\\\ \\end{bmatrix}"}},
          true);
  all_are({{"(1, 2)", "(2, 1)"},
           {"(1, 2)", "[1, 2]"},
           {"[0, 1)", "[0, 1]"},
           {"(0, \\infty)", "(0, -\\infty)"},
           {"1, 2", "1, 2, 2"},
           {"1, 2, 2", "1, 1, 2"},
           {"(1, 2)", "1, 2"},
           {"x = 5", "y = 5"},
           {"x = 1, y = 2", "x = 2, y = 1"},
           {"1", "1, 2"},
           {"\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
            "\\begin{pmatrix} 1 & 3 \\\\ 2 & 4 \\end{pmatrix}"}},
          false);
}

TEST_CASE("text, prose and what cannot be read") {
  CHECK(reason("Monday", "\\text{Monday}") == "right");
  CHECK(reason("tuesday", "\\text{Monday}") == "not_an_expression");
  CHECK(reason("\\text{(C)}", "C") == "right");
  CHECK(reason("x \\in [0, 1]", "x\\in[0,1]") == "right");
  CHECK(reason("So \\boxed{3} fails, and we get $\\boxed{\\frac{1}{2}}$.", "0.5") == "right");
  CHECK(reason("The answer is 18", "18") == "not_an_expression");
  CHECK(reason("18 is not right", "18") == "not_an_expression");
  CHECK_FALSE(check_math("18 18", "18").right);
  CHECK(reason(" ", "18") == "empty");
  CHECK(reason("18", " ") == "bad_gold");
  CHECK(reason(std::string(5000, '(') + "1", "1") == "not_an_expression");
  CHECK(reason(std::string(3000, '(') + "1" + std::string(3000, ')'), "1") == "not_an_expression");
  CHECK(check_math("12 + 6", "17").normalized == "18");
  CHECK(Checker::named("auto").check("\\frac{2}{4}\\pi", "\\frac{\\pi}{2}").right);
  CHECK(Checker::named("math").check("(2, 4)", "(2,4)").right);
}

TEST_CASE("no text makes the math checker throw, and what it reads equals itself") {
  const std::vector<std::string> pieces = {
      "1",      "0",      "12",      "1,000", "x",  "y_1",  "+", "-",       "*",
      "/",      "^",      "(",       ")",     "[",  "]",    "{", "}",       ",",
      "\\frac", "\\sqrt", "\\pi",    "=",     "\\", "|",    " ", "\\text{", "\\cup ",
      "\\pm",   "!",      "\\infty", "\xff",  "%",  "e",    "i", "or",      "cm",
      "\\{",    "\\}",    "sin",     "log_",  "&",  "\\\\", ".", "99999999"};
  Random random(4, "math checker test");
  int read = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (std::uint64_t n = random.below(9); n > 0; --n) text += pieces[random.below(pieces.size())];
    const Verdict verdict = check_math(text, "7x");
    if (verdict.reason != "wrong") continue;
    ++read;
    INFO(text);
    CHECK(check_math(text, text).right);
    CHECK(check_math(" " + text + " ", text).right);
  }
  CHECK(read > 1000);
}
