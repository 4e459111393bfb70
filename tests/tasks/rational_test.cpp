// Exact fractions against 64-bit arithmetic, at the edges of 128 bits, and numbers as written.
#include "reflect/tasks/rational.h"

#include <catch2/catch.hpp>

#include "reflect/base/random.h"

namespace reflect {
namespace {

TEST_CASE("fractions obey the laws of arithmetic") {
  Random random(5, "rational test");
  const auto draw = [&] { return Rational(random.between(-99, 99), random.between(1, 50)); };
  for (int i = 0; i < 5000; ++i) {
    const Rational a = draw(), b = draw(), c = draw();
    REQUIRE(a + b == b + a);
    REQUIRE((a + b) * c == a * c + b * c);
    REQUIRE(a - b + b == a);
    if (!(b == Rational(0))) REQUIRE(a / b * b == a);
    REQUIRE((a < b) + (b < a) + (a == b) == 1);
  }
}

TEST_CASE("integers agree with machine arithmetic") {
  Random random(6, "rational test");
  for (int i = 0; i < 5000; ++i) {
    const std::int64_t a = random.between(-1000000, 1000000), b = random.between(-1000000, 1000000);
    REQUIRE(text_of(Rational(a) * Rational(b)) == std::to_string(a * b));
    REQUIRE(text_of(Rational(a) - Rational(b)) == std::to_string(a - b));
  }
}

TEST_CASE("overflow and division by zero are not a number") {
  const Rational big = power_of_ten(38);
  REQUIRE(big.is_number());
  CHECK_FALSE((big * Rational(10)).is_number());
  CHECK_FALSE((big + big).is_number());
  CHECK_FALSE((power_of_ten(-38) * Rational(1, 7)).is_number());
  CHECK_FALSE((Rational(1) / Rational(0)).is_number());
  CHECK_FALSE(power_of_ten(39).is_number());
  CHECK_FALSE(Rational() == Rational());
  CHECK_FALSE((Rational() + Rational(1)).is_number());
  CHECK(text_of(Rational()) == "not a number");
  CHECK(big - big == Rational(0));
}

TEST_CASE("fractions as text") {
  CHECK(text_of(Rational(6, -4)) == "-1.5");
  CHECK(text_of(Rational(1, 3)) == "1/3");
  CHECK(text_of(Rational(-1, 8)) == "-0.125");
  CHECK(text_of(Rational(1, 1000)) == "0.001");
  CHECK(text_of(Rational(0)) == "0");
}

TEST_CASE("numbers as people write them") {
  const auto read = [](std::string_view text) {
    const auto number = read_number(text);
    return number ? text_of(number->value) + "|" + std::to_string(number->length) + "|" +
                        std::to_string(number->decimals)
                  : "none";
  };
  CHECK(read("12") == "12|2|0");
  CHECK(read("1,234,567.50 x") == "1234567.5|12|2");
  CHECK(read("1,23") == "1|1|0");
  CHECK(read("1234,567") == "1234|4|0");
  CHECK(read(".25") == "0.25|3|2");
  CHECK(read("3. So") == "3|1|0");
  CHECK(read("0.3333333333333333333333").substr(0, 10) == "3333333333");
  CHECK(read("x") == "none");
  CHECK(read("") == "none");
  CHECK(read(".") == "none");
  CHECK(read("-1") == "none");
  CHECK_FALSE(read_number(std::string(50, '9'))->value.is_number());
}

}  // namespace
}  // namespace reflect
