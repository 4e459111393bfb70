#include "sharded_weights.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <c10/util/accumulate.h>

#include <algorithm>

#include "checkpoint_names.h"
#include "reflect/base/mapped_pages.h"
#include "reflect/base/signals.h"
#include "reflect/model/own_passes.h"

namespace reflect {

namespace {

// Units: the embedding, the blocks, the output matrix.
constexpr std::int64_t kEmbeddingUnit = 0;
constexpr std::int64_t kFirstBlock = 1;
constexpr std::size_t kNorms = 2;  // places of a block before its projections

std::int64_t unit_of_layer(std::int64_t layer) {
  return kFirstBlock + layer;
}

// The part of `piece`, which lies at `begin` of its unit, that is in the share.
void copy_bytes(const at::Tensor& piece, std::int64_t begin, const GatheredUnits::Share& share) {
  const at::Tensor bytes = piece.reshape({-1}).view(at::kByte);
  const std::int64_t from = std::max(share.begin, begin);
  const std::int64_t to = std::min(share.end, begin + bytes.numel());
  if (from < to)
    share.bytes.narrow(0, from - share.begin, to - from)
        .copy_(bytes.narrow(0, from - begin, to - from));
}

}  // namespace

ShardedWeights::ShardedWeights(const ShardedBase& sharded, const LlamaConfig& config,
                               const Runtime& runtime)
    : runtime_(runtime),
      group_(sharded.group),
      own_passes_(sharded.own_passes && sharded.group.size() > 1),
      codec_(codec_of(sharded.base.storage)),
      layers_(config.num_hidden_layers),
      files_(std::make_unique<StreamedWeights>(sharded.folder, config, runtime)) {
  lay_out(config, files_->tied());
  if (codec_)
    codes_ =
        std::make_unique<CodeSource>(sharded.folder, *files_, config, *codec_, sharded.base.cache);
  GatheredUnits::Options options = unit_options(sharded);
  const bool reads_anew = options.home == UnitHome::kFile;
  units_ = std::make_unique<GatheredUnits>(std::move(options));
  for (std::size_t unit = 0; unit < contents_.size(); ++unit) {
    for (const Place& place : contents_[unit].places) files_->stored(place.name, place.shape);
    if (reads_anew) continue;
    const auto index = static_cast<std::int64_t>(unit);
    read_unit(index, units_->share(index));
  }
  if (codec_ == WeightCodec::kNf4) share_absmax_means(sharded.group);
  if (codec_) dequantized_ = make_block_buffer(config, runtime);
  final_norm_ = files_->final_norm();
  if (reads_anew) return;
  if (codes_) read_bytes_ += codes_->read_bytes();
  codes_.reset();
  files_.reset();
}

GatheredUnits::Options ShardedWeights::unit_options(const ShardedBase& sharded) {
  GatheredUnits::Options options;
  for (const Unit& unit : contents_) options.sizes.push_back(unit.size);
  options.device = runtime_.device;
  options.group = sharded.group;
  if (!sharded.offload) return options;
  // Codes cost too much to make for every pass: they stay in host memory.
  if (!runtime_.device.is_cpu()) {
    options.home = UnitHome::kHost;
  } else if (!codec_) {
    options.home = UnitHome::kFile;
    options.read = [this](std::int64_t unit, const GatheredUnits::Share& share) {
      read_unit(unit, share);
    };
    options.expect = [this](std::int64_t unit) { expect_unit(unit); };
  }
  return options;
}

void ShardedWeights::Unit::add(Place place, const std::vector<std::int64_t>& piece_sizes) {
  constexpr std::int64_t kAlignment = GatheredUnits::kCut;
  for (const std::int64_t bytes : piece_sizes) {
    place.pieces.push_back({size, bytes});
    size += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  places.push_back(std::move(place));
}

void ShardedWeights::add_plain(Unit& unit, const std::string& name,
                               const std::vector<std::int64_t>& shape) const {
  unit.add({name, shape, std::nullopt, {}}, {c10::multiply_integers(shape) * width()});
}

ShardedWeights::Unit ShardedWeights::block_unit(const LlamaConfig& config,
                                                std::int64_t layer) const {
  Unit unit;
  add_plain(unit, checkpoint_names::input_norm(layer), {config.hidden_size});
  add_plain(unit, checkpoint_names::post_attention_norm(layer), {config.hidden_size});
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(config, p);
    const std::string name = checkpoint_names::projection(layer, p);
    if (codec_) {
      unit.add({name, {out, in}, codec_, {}}, piece_sizes(*codec_, out, in));
    } else {
      add_plain(unit, name, {out, in});
    }
  }
  return unit;
}

void ShardedWeights::lay_out(const LlamaConfig& config, bool tied) {
  const std::vector<std::int64_t> table = {config.vocab_size, config.hidden_size};
  add_plain(contents_.emplace_back(), checkpoint_names::kEmbedding, table);
  for (std::int64_t layer = 0; layer < layers_; ++layer)
    contents_.push_back(block_unit(config, layer));
  head_ = tied ? kEmbeddingUnit : unit_of_layer(layers_);
  if (!tied) add_plain(contents_.emplace_back(), checkpoint_names::kLmHead, table);
}

void ShardedWeights::read_unit(std::int64_t unit, const GatheredUnits::Share& share) {
  const std::int64_t layer = unit - kFirstBlock;
  std::vector<Place>& places = contents_[static_cast<std::size_t>(unit)].places;
  for (std::size_t i = 0; i < places.size(); ++i) {
    Place& place = places[i];
    const Range &first = place.pieces.front(), &last = place.pieces.back();
    if (last.begin + last.size <= share.begin || share.end <= first.begin) continue;
    if (!place.codec) {
      read_plain(files_->stored(place.name, place.shape).reshape({-1}), first, share);
      continue;
    }
    const QuantizedMatrix matrix = codes_->matrix(layer, kProjections[i - kNorms]);
    const std::vector<at::Tensor> pieces = pieces_of(matrix);
    for (std::size_t k = 0; k < pieces.size(); ++k)
      copy_bytes(pieces[k], place.pieces[k].begin, share);
    if (const auto* nf4 = std::get_if<nf4::Quantized>(&matrix))
      place.absmax_mean = nf4->absmax_mean;
  }
  if (codes_) codes_->release(layer);
}

void ShardedWeights::expect_unit(std::int64_t unit) const {
  for (const Place& place : contents_[static_cast<std::size_t>(unit)].places) {
    const at::Tensor stored = files_->stored(place.name, place.shape);
    expect_mapped_pages(stored.const_data_ptr(), stored.nbytes());
  }
}

void ShardedWeights::read_plain(const at::Tensor& stored, const Range& range,
                                const GatheredUnits::Share& share) {
  const std::int64_t begin = std::max(share.begin, range.begin);
  const std::int64_t end = std::min(share.end, range.begin + range.size);
  const at::Tensor part =
      stored.narrow(0, (begin - range.begin) / width(), (end - begin) / width());
  share.bytes.narrow(0, begin - share.begin, end - begin).view(runtime_.dtype).copy_(part);
  drop_mapped_pages(part.const_data_ptr(), part.nbytes());
  read_bytes_ += static_cast<std::int64_t>(part.nbytes());
}

// Each is known to the ranks that quantised its tensor, and is not negative.
void ShardedWeights::share_absmax_means(ProcessGroup group) {
  const auto projections = static_cast<std::int64_t>(kProjections.size());
  const at::Tensor means = at::zeros({layers_, projections}, at::kFloat);
  float* mean = means.data_ptr<float>();
  const auto each = [&](const auto& use) {
    for (std::int64_t layer = 0; layer < layers_; ++layer)
      for (std::int64_t p = 0; p < projections; ++p)
        use(mean[layer * projections + p], contents_[static_cast<std::size_t>(unit_of_layer(layer))]
                                               .places[kNorms + static_cast<std::size_t>(p)]
                                               .absmax_mean);
  };
  each([](float& sent, float known) { sent = known; });
  group.all_reduce(means, Reduction::kMax);
  each([](float sent, float& known) { known = sent; });
}

// What is asked for again is there, and says nothing about what comes next.
at::Tensor ShardedWeights::gather(std::int64_t unit, std::int64_t next) {
  const bool again = unit == last_;
  last_ = unit;
  return units_->gather(unit, again ? std::nullopt : std::optional(next));
}

at::Tensor ShardedWeights::plain(const at::Tensor& unit, const Place& place) const {
  const Range& range = place.pieces.front();
  return unit.narrow(0, range.begin, range.size).view(runtime_.dtype).view(place.shape);
}

void ShardedWeights::dequantize_block(const at::Tensor& bytes, const Unit& unit,
                                      std::int64_t layer) {
  if (dequantized_.layer == layer) return;
  for (std::size_t p = 0; p < kProjections.size(); ++p) {
    const Place& place = unit.places[kNorms + p];
    std::vector<at::Tensor> pieces;
    for (const Range& range : place.pieces)
      pieces.push_back(bytes.narrow(0, range.begin, range.size));
    dequantize(matrix_of(*codec_, {place.shape[0], place.shape[1]}, pieces, place.absmax_mean),
               dequantized_.projections[p]);
  }
  dequantized_.layer = layer;
}

// Forward: the embedding, the blocks, the output matrix. Then, where there are gradients, back to
// the first block, which is followed by the next pass's embedding.
at::Tensor ShardedWeights::gather_block(std::int64_t layer) {
  const std::int64_t unit = unit_of_layer(layer);
  const bool is_last = layer == layers_ - 1;
  const bool backward = is_last ? at_head_ : last_ == unit + 1;
  at_head_ = false;
  return gather(unit, backward ? unit - 1 : is_last ? head_ : unit + 1);
}

at::Tensor ShardedWeights::gather_embedding() {
  if (at_head_) last_ = -1;  // where tied it was the output matrix of the pass before
  at_head_ = false;
  return gather(kEmbeddingUnit, kFirstBlock);
}

at::Tensor ShardedWeights::gather_head() {
  const bool backward = at::GradMode::is_enabled();
  at_head_ = true;
  return gather(head_, backward ? unit_of_layer(layers_ - 1) : kEmbeddingUnit);
}

bool ShardedWeights::agree_on_pass(bool wanted) {
  if (last_ >= 0 && !at_head_) gather_head();  // a pass without logits ends as all others do
  const at::Tensor state = at::zeros({2}, at::kLong);
  auto* data = state.data_ptr<std::int64_t>();
  data[0] = wanted;
  data[1] = signal_received();
  group_.all_reduce(state, Reduction::kMax);
  if (data[1] != 0) note_signal(static_cast<int>(data[1]));
  return data[0] != 0;
}

// The pass before said what comes next; now it is another.
void ShardedWeights::set_own_passes(bool own) {
  own_passes_ = own && group_.size() > 1;
  last_ = -1;
  at_head_ = false;
}

void ShardedWeights::leave() {
  if (!own_passes_) return;
  const at::NoGradGuard no_gradients;
  while (agree_on_pass(false)) {
    gather_embedding();
    for (std::int64_t layer = 0; layer < layers_; ++layer) gather_block(layer);
    gather_head();
  }
}

BlockWeights ShardedWeights::block(std::int64_t layer) {
  const at::Tensor bytes = gather_block(layer);
  const Unit& unit = contents_[static_cast<std::size_t>(unit_of_layer(layer))];
  BlockWeights block{plain(bytes, unit.places[0]), plain(bytes, unit.places[1]), {}};
  if (codec_) {
    dequantize_block(bytes, unit, layer);
    block.projections = dequantized_.projections;
    return block;
  }
  for (std::size_t p = 0; p < kProjections.size(); ++p)
    block.projections[p] = plain(bytes, unit.places[kNorms + p]);
  return block;
}

at::Tensor ShardedWeights::embedding() {
  if (own_passes_) agree_on_pass(true);
  return plain(gather_embedding(), contents_.front().places.front());
}

at::Tensor ShardedWeights::lm_head() {
  return plain(gather_head(), contents_[static_cast<std::size_t>(head_)].places.front());
}

std::int64_t ShardedWeights::buffer_bytes() const {
  const std::int64_t block =
      codec_ ? static_cast<std::int64_t>(dequantized_.storage.nbytes()) : std::int64_t{0};
  return units_->buffer_bytes() + block;
}

OwnPasses::OwnPasses(WeightSource& weights) : weights_(dynamic_cast<ShardedWeights*>(&weights)) {
  if (weights_ != nullptr && weights_->own_passes()) weights_ = nullptr;
  if (weights_ != nullptr) weights_->set_own_passes(true);
}

OwnPasses::~OwnPasses() {
  if (weights_ != nullptr) weights_->set_own_passes(false);
}

}  // namespace reflect
