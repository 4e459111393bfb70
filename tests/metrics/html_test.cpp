#include "reflect/metrics/html.h"

#include <catch2/catch.hpp>

namespace reflect::html {
namespace {

using Catch::Contains;

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("text is escaped for content and attributes") {
  CHECK(escaped("<a href=\"x\" id='y'>&amp;") ==
        "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;");
  CHECK(escaped("tab\tline\n") == "tab\tline\n");
  CHECK(escaped(std::string("\0\x1b\x7f", 3)) == "\uFFFD\uFFFD\uFFFD");
  CHECK(escaped("é水") == "é水");
}

TEST_CASE("a page stands by itself") {
  const std::string text = page("a <title>", "<p>body</p>\n");
  CHECK_THAT(text, Contains("<title>a &lt;title&gt;</title>"));
  CHECK_THAT(text, Contains("prefers-color-scheme: dark"));
  CHECK_THAT(text, Contains("<p>body</p>"));
  for (const char* outside : {"http", "src=", "<script", "@import", "url("})
    CHECK(text.find(outside) == text.npos);
}

TEST_CASE("counts have thin spaces between thousands") {
  CHECK(count_text(0) == "0");
  CHECK(count_text(999) == "999");
  CHECK(count_text(1000) == "1\u2009000");
  CHECK(count_text(1234567) == "1\u2009234\u2009567");
}

TEST_CASE("ticks are round and inside") {
  CHECK(ticks(0, 1, 5) == std::vector<double>{0, 0.2, 0.4, 0.6, 0.8, 1});
  CHECK(ticks(0, 100, 4) == std::vector<double>{0, 50, 100});
  CHECK(ticks(-0.3, 0.3, 3) == std::vector<double>{-0.2, 0, 0.2});
  CHECK(ticks(1, 1, 3).empty());
  CHECK(ticks(0, 1e300 * 1e300, 3).empty());
}

TEST_CASE("charts draw what they are given") {
  const std::string histogram = svg(HistogramChart{
      {"IFD", 0, 1}, {1, 0, 4, 2}, {0, 0, 3, 2}, {{0.5, "max 0.5"}, {7, "outside"}}});
  CHECK(count_of(histogram, "<rect") == 5);  // bars that are not empty
  CHECK_THAT(histogram, Contains("max 0.5"));
  CHECK(histogram.find("outside") == histogram.npos);
  ScatterChart scatter{
      .x = {"x", 0, 1}, .y = {"y", 0, 1}, .points = {}, .x_mark = 0.5, .y_mark = {}};
  scatter.points = {{0.5, 0.5, true, "a<b"}, {9, -9, false, "far"}};
  const std::string points = svg(scatter);
  CHECK(count_of(points, "<circle") == 2);
  CHECK_THAT(points, Contains("a&lt;b"));
  CHECK(count_of(points, "class=\"mark\"") == 1);
  const std::string funnel =
      svg(FunnelChart{10, {{"status", "ok", 8, 2}, {"ifd", "IFD < 1", 8, 0}}});
  CHECK(count_of(funnel, "<rect") == 4);
  CHECK_THAT(funnel, Contains("IFD &lt; 1"));
  CHECK_THAT(funnel, Contains("80.0 %"));
  for (const std::string& text : {histogram, points, funnel}) {
    CHECK(text.find("nan") == text.npos);
    CHECK(count_of(text, "<svg") == count_of(text, "</svg>"));
  }
}

TEST_CASE("charts of nothing are drawn without a number that is none") {
  for (const std::string& text :
       {svg(HistogramChart{{"x", 0, 1}, {}, {}, {}}), svg(FunnelChart{0, {{"a", "b", 0, 0}}}),
        svg(ScatterChart{
            .x = {"x", 0, 1}, .y = {"y", 0, 1}, .points = {}, .x_mark = {}, .y_mark = {}})}) {
    CHECK(text.find("nan") == text.npos);
    CHECK(text.find("inf") == text.npos);
  }
}

}  // namespace reflect::html
