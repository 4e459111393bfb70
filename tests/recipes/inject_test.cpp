// Injected mistakes: every kind provably changes the result, and every trace survives the audit,
// which notices each way of tampering with one.
#include "recipes/inject.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "recipes/audit.h"

using namespace reflect;

namespace {

CorruptStep step_with(double q, const std::vector<std::string>& kinds = {}) {
  const Recipe recipe = load_recipe("inject");
  for (const RecipeStep& step : recipe.steps) {
    if (const auto* corrupt = std::get_if<CorruptStep>(&step.settings)) {
      CorruptStep changed = *corrupt;
      changed.q = q;
      changed.kinds = kinds;
      changed.clean_fraction = 0;
      changed.max_too_early = 1;
      return changed;
    }
  }
  throw std::runtime_error("the recipe inject has no step corrupt");
}

ProblemGenerator generator_of(const std::string& family, const std::string& operations = "3-6") {
  ProceduralConfig config;
  config.family = {family};
  config.operations = {operations};
  return ProblemGenerator(config, 11);
}

struct Sample {
  const Family& family;
  Program program;
  InjectedTrace trace;
};

Sample sample(const ProblemGenerator& generator, const CorruptStep& step, std::size_t index,
              RedrawCounts& redrawn) {
  Program program = generator.make(index);
  InjectedTrace trace = inject(InjectPlan(step), generator.family_of(index), program,
                               Random(5, "test", {index}), redrawn);
  return {generator.family_of(index), std::move(program), std::move(trace)};
}

std::string text_of(const InjectedTrace& trace, const Span& span) {
  return trace.text.substr(span.begin, span.end - span.begin);
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

const Span& span_of(const InjectedTrace& trace, SpanType type, int round) {
  const auto found = std::find_if(trace.spans.begin(), trace.spans.end(), [&](const Span& span) {
    return span.type == type && span.round == round;
  });
  REQUIRE(found != trace.spans.end());
  return *found;
}

const std::vector<std::string> kFamilies = {"graph", "arithmetic", "words", "units", "sorting"};

}  // namespace

TEST_CASE("every kind of mistake changes the result of its step, in each family that has it") {
  std::set<std::string> seen;
  for (const std::string& family : kFamilies) {
    for (const std::string& kind : error_kind_names()) {
      const CorruptStep step = step_with(0.5, {kind});
      const ProblemGenerator generator = generator_of(family);
      RedrawCounts redrawn{};
      for (std::size_t i = 0; i < 150; ++i) {
        const Sample made = sample(generator, step, i, redrawn);
        INFO(family << " " << kind << "\n" << made.program.prompt << "\n" << made.trace.text);
        REQUIRE(audit(made.family, made.program, made.trace.text, made.trace.spans) ==
                std::nullopt);
        const std::vector<StepValue> right = execute(made.program);
        for (const InjectedError& error : made.trace.errors) {
          REQUIRE(name_of(error.kind) == kind);
          const Span& span = span_of(made.trace, SpanType::kError, error.round);
          CHECK(span.proof == Proof::kExecuted);
          const auto wrong = made.family.read(made.program, first_line(text_of(made.trace, span)));
          REQUIRE(wrong);
          CHECK(wrong->step == error.step);
          CHECK(wrong->result != right[made.program.quantity_of(error.step)]);
          CHECK(wrong->result.has_value() == (error.kind != ErrorKind::kTooEarly));
          span_of(made.trace, SpanType::kReflection, error.round);
          seen.insert(family + " " + kind);
        }
      }
    }
  }
  for (const std::string& family : kFamilies) {
    for (const std::string& kind : error_kind_names()) {
      const bool expected = !(kind == "precedence" && family != "arithmetic") &&
                            !(kind == "wrong_operation" && family == "sorting");
      INFO(family << " " << kind);
      CHECK(seen.contains(family + " " + kind) == expected);
    }
  }
}

TEST_CASE("equal keys give equal traces") {
  const CorruptStep step = step_with(0.4);
  for (const std::string& family : kFamilies) {
    RedrawCounts first{}, again{};
    for (std::size_t i = 0; i < 20; ++i) {
      const ProblemGenerator generator = generator_of(family);
      CHECK(sample(generator, step, i, first).trace.text ==
            sample(generator, step, i, again).trace.text);
    }
    CHECK(first == again);
  }
}

TEST_CASE("mistakes come as often as asked, and clean traces too") {
  const ProblemGenerator generator = generator_of("words", "5");
  RedrawCounts redrawn{};
  CorruptStep step = step_with(0.3, {"wrong_result"});
  step.notice_after = {"1"};
  int errors = 0;
  for (std::size_t i = 0; i < 1000; ++i) {
    errors += static_cast<int>(sample(generator, step, i, redrawn).trace.errors.size());
  }
  CHECK(errors / 5000.0 == Approx(0.3).margin(0.025));

  step.clean_fraction = 0.5;
  step.q = 0.9;
  int clean = 0;
  for (std::size_t i = 0; i < 1000; ++i) {
    clean += sample(generator, step, i, redrawn).trace.errors.empty() ? 1 : 0;
  }
  CHECK(clean / 1000.0 == Approx(0.5).margin(0.05));
}

TEST_CASE("a mistake is noticed after as many further steps as drawn, and all of it is repaired") {
  CorruptStep step = step_with(0.5, {"off_by_one"});
  step.notice_after = {"0", "0", "1"};
  const ProblemGenerator generator = generator_of("units", "7");
  RedrawCounts redrawn{};
  int late = 0;
  for (std::size_t i = 0; i < 100; ++i) {
    const Sample made = sample(generator, step, i, redrawn);
    for (const InjectedError& error : made.trace.errors) {
      // Units are one chain of steps, so each further step builds on the mistake.
      const std::string wrong =
          text_of(made.trace, span_of(made.trace, SpanType::kError, error.round));
      const std::string repaired =
          text_of(made.trace, span_of(made.trace, SpanType::kCorrection, error.round));
      const auto lines = [](const std::string& text) {
        return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
      };
      CHECK(lines(wrong) == error.noticed_after);
      CHECK(lines(repaired) == error.noticed_after);
      const std::size_t to_come = made.program.steps.size() - 1 - error.step;
      CHECK(error.noticed_after == std::min<std::size_t>(2, to_come));
      late += error.noticed_after == 2 ? 1 : 0;
    }
  }
  CHECK(late > 50);
}

TEST_CASE("a followed attempt leads down to a step that is possible") {
  CorruptStep step = step_with(0.5);
  step.form = "follow";
  const ProblemGenerator generator = generator_of("graph", "6");
  RedrawCounts redrawn{};
  int chains = 0, attempts = 0;
  for (std::size_t i = 0; i < 300; ++i) {
    const Sample made = sample(generator, step, i, redrawn);
    INFO(made.program.prompt << "\n" << made.trace.text);
    REQUIRE(audit(made.family, made.program, made.trace.text, made.trace.spans) == std::nullopt);
    const int reflections = parse_trace(made.trace.text).reflections();
    for (int round = 1; round <= reflections; ++round) {
      // What is unknown is looked at next: " b unknown" is followed by the line of b.
      const std::string unknown =
          text_of(made.trace, span_of(made.trace, SpanType::kReflection, round));
      const std::string next =
          text_of(made.trace, span_of(made.trace, SpanType::kCorrection, round));
      CHECK(unknown.substr(0, 2) + ":" == next.substr(0, 3));
    }
    chains += static_cast<int>(made.trace.errors.size());
    attempts += reflections;
  }
  CHECK(chains > 300);
  CHECK(attempts > chains);
}

TEST_CASE("the demo trace is byte for byte what small models are trained on") {
  CorruptStep step = step_with(0.5);
  step.form = "follow";
  const ProblemGenerator generator = generator_of("graph", "3");
  RedrawCounts redrawn{};
  for (std::size_t i = 0; i < 100; ++i) {
    const Sample made = sample(generator, step, i, redrawn);
    if (made.trace.errors.size() != 1 || made.trace.spans.size() != 11) continue;
    const Program& program = made.program;
    if (made.trace.spans[1].type != SpanType::kError) continue;
    const std::string attempt = text_of(made.trace, made.trace.spans[1]);
    INFO(made.trace.text);
    CHECK(made.trace.text.starts_with("<thinking>\n" + attempt + "<reflection> "));
    CHECK(made.trace.text.find(" unknown</reflection>\n ") != std::string::npos);
    CHECK(made.trace.text.ends_with("\n</thinking>\n<output>" + program.answer + "</output>"));
    const std::size_t head = std::string(" v:a v+b,").size();
    const std::size_t recalled = std::string(" a=7").size();  // where the first operand is known
    CHECK((attempt.size() == head || attempt.size() == head + recalled));
    return;
  }
  FAIL("no trace with one mistake at its start");
}

TEST_CASE("the audit notices tampering") {
  const CorruptStep step = step_with(0.6, {"wrong_result", "copied_wrong", "skipped_step"});
  for (const std::string& family : kFamilies) {
    const ProblemGenerator generator = generator_of(family);
    RedrawCounts redrawn{};
    int tampered = 0;
    for (std::size_t i = 0; i < 40; ++i) {
      const Sample made = sample(generator, step, i, redrawn);
      const InjectedTrace& trace = made.trace;
      if (trace.errors.empty()) continue;
      INFO(made.program.prompt << "\n" << trace.text);
      const auto audit_with = [&](const std::vector<Span>& spans) {
        return audit(made.family, made.program, trace.text, spans);
      };
      // An error that is called thinking, and a correction or thinking that is called an error.
      for (std::size_t at = 0; at < trace.spans.size(); ++at) {
        std::vector<Span> spans = trace.spans;
        if (spans[at].type == SpanType::kError) {
          spans[at].type = SpanType::kThinking;
          CHECK(audit_with(spans));
        } else if (spans[at].type == SpanType::kCorrection) {
          spans[at].type = SpanType::kError;
          CHECK(audit_with(spans));
        }
      }
      // A changed digit in the last line of thinking.
      std::string text = trace.text;
      const std::size_t last = text.find_last_of("0123456789", text.rfind("\n</thinking>"));
      text[last] = text[last] == '9' ? '8' : static_cast<char>(text[last] + 1);
      CHECK(audit(made.family, made.program, text, trace.spans));
      // Another problem's trace.
      CHECK(audit(made.family, generator.make(i + 1000), trace.text, trace.spans));
      ++tampered;
    }
    CHECK(tampered > 20);
  }
}
