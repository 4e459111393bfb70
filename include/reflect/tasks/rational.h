// Exact fractions of 128-bit integers: what answers and written arithmetic are compared with.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace reflect {

__extension__ using Int128 = __int128;

// A fraction in lowest terms with a positive denominator, or "not a number": the result of an
// overflow or a division by zero, which every further operation keeps and which equals nothing.
class Rational {
 public:
  Rational() = default;  // not a number
  Rational(Int128 numerator, Int128 denominator = 1);

  bool is_number() const { return denominator_ != 0; }
  bool is_integer() const { return denominator_ == 1; }
  Int128 numerator() const { return numerator_; }
  Int128 denominator() const { return denominator_; }

  Rational operator-() const;
  friend Rational operator+(const Rational& a, const Rational& b);
  friend Rational operator-(const Rational& a, const Rational& b) { return a + -b; }
  friend Rational operator*(const Rational& a, const Rational& b);
  friend Rational operator/(const Rational& a, const Rational& b);
  friend bool operator==(const Rational& a, const Rational& b);
  friend bool operator<(const Rational& a, const Rational& b);  // false when a - b overflows

 private:
  Int128 numerator_ = 0;
  Int128 denominator_ = 0;
};

Rational abs(const Rational& value);
Rational power_of_ten(int exponent);  // not a number outside -38 .. 38

// An integer, a decimal where it is exact with at most 12 digits, else "a/b"; "not a number".
std::string text_of(const Rational& value);

// A number as people write it, at the start of a text.
struct WrittenNumber {
  Rational value;
  std::size_t length = 0;  // bytes
  int decimals = 0;        // digits after the point
};

// Digits with an optional point and thousands separators: "12", "1,234.5", ".5"; no sign, no
// exponent. "1,23" is the number 1. Digits after the 18th decimal are read over. Nothing where no
// number starts.
std::optional<WrittenNumber> read_number(std::string_view text);

}  // namespace reflect
