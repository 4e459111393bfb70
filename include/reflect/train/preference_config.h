// Settings of direct preference optimisation.
#pragma once

#include <string>

namespace reflect {

struct PreferenceConfig {
  std::string form = "sigmoid";
  double beta = 0.1;
  double sft_weight = 0;
  void visit(auto& v) {
    v("form", form,
      "sigmoid: -log sigmoid(beta margin); ipo: (margin a token - 1 / (2 beta))^2; sigmoid_norm: "
      "sigmoid of the margin a token.",
      {"sigmoid", "ipo", "sigmoid_norm"});
    v("beta", beta, "Strength of the pull towards the reference.");
    v("sft_weight", sft_weight, "Share of the chosen responses' own loss that is added.");
  }
};

}  // namespace reflect
