// Templates are filled in one pass and leave all other braces alone.
#include "reflect/recipes/text_template.h"

#include <catch2/catch.hpp>

#include "reflect/base/error.h"

using namespace reflect;

TEST_CASE("fields are filled once and never expanded again") {
  const TextTemplate text("{{a}} and {{b}}, {{a}}");
  CHECK(text.fill({{"a", "{{b}}"}, {"b", "two"}}) == "{{b}} and two, {{b}}");
  CHECK(text.fields() == std::vector<std::string_view>{"a", "b", "a"});
}

TEST_CASE("braces that are no field stay as they are") {
  for (const char* text : {"", "{", "{{", "{{}}", "{ {a} }", "{\"x\": {\"y\": 1}}", "{{A b}}",
                           "{{a", "}}{{", "{{a b}} {{"}) {
    CHECK(TextTemplate(text).fill(TemplateFields{}) == text);
  }
  CHECK(TextTemplate("{{{a}}}").fill({{"a", "x"}}) == "{x}");
  CHECK(TextTemplate("\\boxed{{{a}}}").fill({{"a", "7"}}) == "\\boxed{7}");
}

TEST_CASE("an unknown field is named") {
  CHECK_THROWS_WITH(TextTemplate("{{nobody}}").fill({{"a", "x"}}), Catch::Contains("{{nobody}}"));
}
