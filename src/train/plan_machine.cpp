#include <algorithm>
#include <array>

#include "reflect/base/error.h"
#include "reflect/train/flops.h"
#include "reflect/train/plan.h"

namespace reflect {
namespace {

constexpr double kGiB = 1 << 30;
constexpr double kTera = 1e12, kGiga = 1e9;

// Of data sheets: dense bf16 products with fp32 sums, NVLink or PCIe in one direction, and one
// network card a GPU as servers with that GPU have it. Efficiency: 0.42 is what the fastest LoRA
// trainers publish for 8B on an H100 (12.5k tokens/s); slower arithmetic is used better.
struct GpuSheet {
  const char *name, *marketed;
  double memory_gib, tera_flops, efficiency;
  double memory_bandwidth, link, network, host_link;  // GB/s
};

constexpr std::array<GpuSheet, 6> kSheets = {{
    {"h100-80g", "H100", 79.6, 989, 0.42, 3350, 450, 50, 55},
    {"h200-141g", "H200", 140.4, 989, 0.42, 4800, 450, 50, 55},
    {"a100-80g", "A100", 80, 312, 0.5, 2039, 300, 25, 25},
    {"a100-40g", "A100", 40, 312, 0.5, 1555, 300, 25, 25},
    {"a6000-48g", "A6000", 48, 154.8, 0.5, 768, 25, 3, 25},
    {"rtx4090-24g", "RTX 4090", 24, 165.2, 0.5, 1008, 25, 3, 25},
}};

}  // namespace

std::optional<double> flops_of_gpu(std::string_view model) {
  for (const GpuSheet& sheet : kSheets)
    if (model.find(sheet.marketed) != std::string_view::npos) return sheet.tera_flops * kTera;
  return std::nullopt;
}

Machine machine_of_gpus(const std::string& name, std::int64_t nodes, std::int64_t gpus_of_node) {
  const auto* sheet =
      std::ranges::find_if(kSheets, [&](const GpuSheet& known) { return name == known.name; });
  if (sheet == kSheets.end()) {
    std::vector<std::string> known;
    for (const GpuSheet& each : kSheets) known.emplace_back(each.name);
    fail_usage("plan", "no GPU '{}'; known: {}", name, fmt::join(known, ", "));
  }
  return {.name = name,
          .is_cpu = false,
          .nodes = nodes,
          .ranks_of_node = gpus_of_node,
          .memory = sheet->memory_gib * kGiB,
          .flops = sheet->tera_flops * kTera,
          .efficiency = sheet->efficiency,
          .memory_bandwidth = sheet->memory_bandwidth * kGiga,
          .link = sheet->link * kGiga,
          .network = sheet->network * kGiga,
          .host_link = sheet->host_link * kGiga};
}

}  // namespace reflect
