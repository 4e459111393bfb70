// Makers of the generated problem families.
#pragma once

#include <memory>

#include "reflect/tasks/procedural.h"

namespace reflect {

std::unique_ptr<Family> make_graph_family(const GraphConfig& config);
std::unique_ptr<Family> make_arithmetic_family();
std::unique_ptr<Family> make_words_family();
std::unique_ptr<Family> make_units_family();
std::unique_ptr<Family> make_sorting_family();

}  // namespace reflect
