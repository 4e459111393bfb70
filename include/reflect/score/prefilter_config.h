// A small model as a first filter (Superfiltering, arXiv 2402.00530).
#pragma once

#include <string>

namespace reflect {

struct PrefilterConfig {
  std::string model;
  double keep = 0.3;
  std::string ratio = "ppl";
  double max_ifd = 1;
  std::string dtype = "same";
  std::string chat_template = "auto";
  void visit(auto& v) {
    v("model", model,
      "Folder of a small model that scores all rows first; the student scores the share of highest "
      "IFD. Empty: none.");
    v("keep", keep, "Share of all rows that goes on to the student.");
    v("ratio", ratio, "The IFD that ranks: ratio of perplexities or of losses.", {"ppl", "loss"});
    v("max-ifd", max_ifd, "Rows of this IFD or more do not go on; 0: all are ranked.");
    v("dtype", dtype, "Compute type of the small model; same: as --dtype.",
      {"same", "auto", "fp32", "bf16"});
    v("template", chat_template, "Chat template of the small model (fixed mode); auto: its own.");
  }
};

}  // namespace reflect
