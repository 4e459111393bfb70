// reflect-eval: several models on the same problems, compared with intervals; or one question.
#include "reflect/cli/app.h"
#include "reflect/evaluate/evaluate.h"

int main(int argc, char** argv) {
  const reflect::AppInfo info = {
      .name = "reflect-eval",
      .summary = "Answers problems with one or more models and compares them with intervals.",
      .examples =
          "reflect-eval --model DIR --adapter DIR --input problems.jsonl --output results.json\n"
          "reflect-eval ... --draft --ban-reflection   what the reflections are worth\n"
          "reflect-eval --arms base=DIR,plain=DIR2,tuned=DIR2+ADAPTER,banned=DIR2+ADAPTER:ban \\\n"
          "             --input problems.jsonl --output results.json --group-by operations\n"
          "reflect-eval --model DIR --ask \"What is 12 * 7?\" --hide-thinking\n"
          "The same command goes on where an earlier run was ended.\n",
  };
  return reflect::run_app(argc, argv, info, reflect::evaluate);
}
