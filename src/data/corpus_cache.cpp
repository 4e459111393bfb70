#include "reflect/data/corpus_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "reflect/base/error.h"
#include "reflect/base/hash.h"
#include "reflect/base/log.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

// Why the folder cannot be used. No Error, so that it is not taken for one of the rows.
struct CannotCache {
  std::string reason;
};

template <class Action>
auto or_cannot_cache(const Action& action) {
  try {
    return action();
  } catch (const Error& error) {
    throw CannotCache{error.what()};
  }
}

// Held by the process that makes a cached file; the system frees it when that process ends.
class MakersLock {
 public:
  explicit MakersLock(std::string path) : path_(std::move(path)) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0)
      throw CannotCache{fmt::format("{}: {}", path_, std::generic_category().message(errno))};
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
    log_info("waiting for the process that tokenizes these rows ({})", path_);
    while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) continue;
  }
  // Who waits has the removed file open and finds what was made; who comes later finds it at once.
  ~MakersLock() {
    ::unlink(path_.c_str());
    ::close(fd_);
  }
  MakersLock(const MakersLock&) = delete;
  MakersLock& operator=(const MakersLock&) = delete;

 private:
  std::string path_;
  int fd_ = -1;
};

std::shared_ptr<const TokenizedFile> in_memory(const CorpusCache::Tokenize& tokenize) {
  std::string bytes;
  TokenizedFileWriter writer([&bytes](std::string_view piece) { bytes += piece; });
  writer.finish(nullptr, tokenize(writer));
  return std::make_shared<TokenizedFile>(std::move(bytes));
}

std::string content_of(const std::string& data_file) {
  return digest_of_file(data_file).hex();
}

}  // namespace

CorpusCache::CorpusCache(std::string folder, Json settings)
    : folder_(std::move(folder)), settings_(std::move(settings)) {}

CorpusCache::Rows CorpusCache::rows_of(const std::string& data_file,
                                       const Tokenize& tokenize) const {
  std::error_code error;
  if (folder_.empty() || !fs::is_regular_file(data_file, error)) return in_memory(tokenize);
  Json key = settings_;
  key["content"] = content_of(data_file);
  const std::string path = folder_ + "/" + content_hash(key.dump()) + ".tokens";
  if (Rows rows = cached(path, key, /*warn=*/false)) return rows;
  try {
    or_cannot_cache([&] { make_folder(folder_); });
    const MakersLock lock(path + ".lock");
    if (Rows rows = cached(path, key, /*warn=*/true)) return rows;
    write(path, key, data_file, tokenize);
    return or_cannot_cache([&] { return std::make_shared<const TokenizedFile>(path, key); });
  } catch (const CannotCache& trouble) {
    log_warn("tokenized rows of {} are kept in memory, not in --data.cache: {}", data_file,
             trouble.reason);
  }
  return in_memory(tokenize);
}

CorpusCache::Rows CorpusCache::cached(const std::string& path, const Json& key, bool warn) const {
  std::error_code error;
  if (!fs::exists(path, error)) return nullptr;
  try {
    Rows rows = std::make_shared<const TokenizedFile>(path, key);
    log_info("tokenized rows come from {}", path);
    return rows;
  } catch (const Error& damage) {
    if (warn) log_warn("{}; it is made again", damage.what());
    return nullptr;
  }
}

void CorpusCache::write(const std::string& path, const Json& key, const std::string& data_file,
                        const Tokenize& tokenize) const {
  AtomicWriter file = or_cannot_cache([&] { return AtomicWriter(path); });
  TokenizedFileWriter writer(
      [&](std::string_view piece) { or_cannot_cache([&] { file.write(piece); }); });
  const Json account = tokenize(writer);
  if (content_of(data_file) != key["content"])
    fail("tokens", "{} has changed while it was read; run again once it is complete", data_file);
  writer.finish(key, account);
  or_cannot_cache([&] { file.commit(); });
  log_info("tokenized {} into {}", data_file, path);
}

}  // namespace reflect
