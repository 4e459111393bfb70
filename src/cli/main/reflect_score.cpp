// reflect-score: the student model scores rows; gates and policies select among them.
#include "reflect/cli/app.h"
#include "reflect/score/score_rows.h"

int main(int argc, char** argv) {
  const reflect::AppInfo info = {
      .name = "reflect-score",
      .summary = "Scores rows with the student model (IFD, r-IFD, spans) and selects among them.",
      .examples =
          "reflect-score --model DIR --input traces.jsonl --output scored.jsonl --selected "
          "kept.jsonl\n"
          "reflect-score ... --selection.top-fraction 0.1   the 10 % of highest IFD\n"
          "reflect-score ... --parity reference --dtype fp32   the published definition\n",
  };
  return reflect::run_app(argc, argv, info, reflect::score_rows);
}
