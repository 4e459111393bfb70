// reflect-gen: a teacher writes reasoning traces with real mistakes, noticed and repaired.
#include "reflect/cli/app.h"
#include "reflect/recipes/synthesize.h"

int main(int argc, char** argv) {
  return reflect::run_app(
      argc, argv,
      {"reflect-gen",
       "Writes reasoning traces that contain a mistake, notice it and repair it, each verified.",
       "  reflect-gen --list-recipes\n"
       "  reflect-gen --recipe inject --teacher.kind procedural --procedural.family words "
       "--accept 1000 --output traces.jsonl\n"
       "  reflect-gen --recipe split --input example_model_solutions.jsonl --split-part train "
       "--output traces.jsonl\n"
       "  reflect-gen --problems-only --input test.jsonl --split-part eval --output "
       "problems.jsonl"},
      reflect::synthesize);
}
