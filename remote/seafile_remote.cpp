// SPDX-License-Identifier: Apache-2.0
#include "remote/seafile_remote.hpp"

#include <algorithm>
#include <deque>
#include <iterator>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"
#include "base/guarded.hpp"
#include "crypto/hash.hpp"
#include "remote/parallel.hpp"
#include "remote/seafile_link.hpp"

namespace nacre {
namespace {

constexpr std::size_t pack_ids = 100;                      // asked for at once
constexpr std::size_t pack_bytes = std::size_t{1} << 20U;  // sent at once
constexpr std::size_t check_ids = 1000;
constexpr std::size_t lanes = 3;  // as real clients
constexpr int publish_tries = 4;
constexpr std::size_t publish_search = 64;  // commits looked at for ours
constexpr std::size_t large_reply = std::size_t{64} << 20U;
constexpr std::chrono::minutes block_time{30};

class SeafileRemote final : public Remote {
 public:
  SeafileRemote(const SeafileOptions& options, Secret token)
      : options_(options), link_(options.server, std::move(token)) {}

  std::string user() override { return options_.user; }
  bool writable() const override { return true; }

  std::vector<LibraryInfo> libraries() override;
  LibraryInfo create_library(const NewLibrary& library) override;
  void rename_library(const LibraryId& library, const std::string& name) override;
  void delete_library(const LibraryId& library) override;
  ObjectId head(const LibraryId& library) override;
  std::vector<LibraryHead> heads(std::span<const LibraryId> libraries) override;
  Commit commit(const LibraryId& library, const ObjectId& id) override;
  std::vector<FsObject> objects(const LibraryId& library, std::span<const ObjectId> ids) override;
  Bytes block(const LibraryId& library, const ObjectId& id) override {
    return arriving_block(library, id, {});
  }
  Bytes arriving_block(const LibraryId& library, const ObjectId& id,
                       const BlockArrives& arrives) override;
  std::vector<std::uint64_t> block_sizes(const LibraryId& library, const ObjectId& file) override;
  std::vector<ObjectId> missing_objects(const LibraryId& library,
                                        std::span<const ObjectId> ids) override {
    return missing(library, "check-fs", ids);
  }
  std::vector<ObjectId> missing_blocks(const LibraryId& library,
                                       std::span<const ObjectId> ids) override {
    return missing(library, "check-blocks", ids);
  }
  void check_upload(const LibraryId& library, std::int64_t added_bytes) override;
  void put_commit(const Commit& commit) override;
  void put_objects(const LibraryId& library, std::span<const FsObject> objects) override;
  void put_block(const LibraryId& library, const ObjectId& id, ByteView stored) override;
  ObjectId publish(const LibraryId& library, const ObjectId& commit) override;
  Quota quota() override;

 private:
  std::vector<FsObject> some_objects(const LibraryId& library, std::span<const ObjectId> ids);
  std::vector<ObjectId> missing(const LibraryId& library, const char* call,
                                std::span<const ObjectId> ids);
  [[noreturn]] void throw_absent(const LibraryId& library, const char* call, const ObjectId& id,
                                 const HttpReply& reply, const std::string& what);
  bool contains(const LibraryId& library, const ObjectId& head, const ObjectId& commit);

  const SeafileOptions options_;
  SeafileLink link_;
};

std::string repo_path(const LibraryId& library, const std::string& rest) {
  return "/repo/" + library.str() + "/" + rest;
}

std::string name_of(const LibraryId& library) { return "library " + library.str(); }

// A question that changes nothing, with a body.
HttpRequest question(std::string path, const std::string& body, std::size_t max_reply) {
  HttpRequest request;
  request.method = HttpMethod::post;
  request.path = std::move(path);
  request.headers = {"Content-Type: application/json"};
  request.body = as_bytes(body);
  request.max_reply = max_reply;
  request.idempotent = true;
  return request;
}

HttpRequest upload(HttpMethod method, std::string path, ByteView body) {
  HttpRequest request;
  request.method = method;
  request.path = std::move(path);
  request.headers = {"Content-Type: application/octet-stream"};
  request.body = body;
  request.idempotent = true;  // content-addressed: twice is once
  return request;
}

HttpRequest get(std::string path) {
  HttpRequest request;
  request.path = std::move(path);
  return request;
}

std::vector<LibraryInfo> SeafileRemote::libraries() {
  auto request = get("/api2/repos/");
  request.max_reply = large_reply;
  const auto reply = link_.api(std::move(request));
  require_ok(reply, "list of libraries");
  return read_libraries(reply.body);
}

LibraryInfo SeafileRemote::create_library(const NewLibrary& library) {
  const auto form = library_form(library);
  HttpRequest request;
  request.method = HttpMethod::post;
  request.path = "/api2/repos/";
  request.headers = {"Content-Type: application/x-www-form-urlencoded"};
  request.body = as_bytes(form);
  auto reply = link_.api(std::move(request));
  if (reply.status == 400 || reply.status == 520) {
    throw Error(Errc::invalid, "library " + library.name +
                                   ": the server does not create it: " + error_words(reply.body));
  }
  require_ok(reply, "library " + library.name);
  auto info = read_download_info(reply.body);
  wipe(reply.body);
  if (library.encryption.encrypted() && info.library.id != library.id) {
    throw Error(Errc::corrupt, "library " + library.name + ": the server created another one");
  }
  link_.remember(info.library.id, std::move(info.token));
  return info.library;
}

void SeafileRemote::rename_library(const LibraryId& library, const std::string& name) {
  // The server replaces both.
  const auto now = commit(library, head(library));
  const auto form = write_form(std::vector<std::pair<std::string_view, std::string_view>>{
      {"repo_name", name}, {"repo_desc", now.library_description}});
  HttpRequest request;
  request.method = HttpMethod::post;
  request.path = "/api2/repos/" + library.str() + "/?op=rename";
  request.headers = {"Content-Type: application/x-www-form-urlencoded"};
  request.body = as_bytes(form);
  const auto reply = link_.api(std::move(request));
  if (reply.status == 400)
    throw Error(Errc::invalid, "library " + name + ": the server does not take this name: " +
                                   error_words(reply.body));
  require_ok(reply, name_of(library));
}

void SeafileRemote::delete_library(const LibraryId& library) {
  HttpRequest request;
  request.method = HttpMethod::remove;
  request.path = "/api2/repos/" + library.str() + "/";
  require_ok(link_.api(std::move(request)), name_of(library));
}

ObjectId SeafileRemote::head(const LibraryId& library) {
  const auto reply = link_.sync(library, get(repo_path(library, "commit/HEAD")));
  require_ok(reply, name_of(library));
  return read_head(reply.body);
}

std::vector<LibraryHead> SeafileRemote::heads(std::span<const LibraryId> libraries) {
  if (libraries.empty()) return {};
  const auto body = write_ids(libraries);
  const auto reply =
      link_.sync_without_token(question("/repo/head-commits-multi/", body, large_reply));
  std::vector<LibraryHead> heads;
  if (reply.status == 404 || reply.status == 401) {  // a server before 6.2, or a guarded one
    link_.fetch_tokens(libraries);
    std::mutex mutex;
    run_parallel(libraries.size(), lanes, [&](std::size_t i) {
      try {
        const LibraryHead found{libraries[i], head(libraries[i])};
        const std::lock_guard lock(mutex);
        heads.push_back(found);
      } catch (const Error& e) {
        // One library that cannot be had is left out, as the one request would.
        if (e.code() != Errc::gone && e.code() != Errc::denied) throw;
      }
    });
    return heads;
  }
  require_ok(reply, "heads of libraries");
  const std::unordered_set<LibraryId> asked(libraries.begin(), libraries.end());
  heads = read_heads(reply.body);
  std::erase_if(heads, [&](const LibraryHead& h) { return !asked.contains(h.library); });
  return heads;
}

Commit SeafileRemote::commit(const LibraryId& library, const ObjectId& id) {
  const auto reply = link_.sync(library, get(repo_path(library, "commit/" + id.hex())));
  require_ok(reply, "commit " + id.hex());
  auto commit = read_commit(id, reply.body);
  if (commit.library != library || commit.id != id) {
    throw Error(Errc::corrupt,
                "commit " + id.hex() + ": the server answers with another commit or library");
  }
  return commit;
}

std::vector<FsObject> SeafileRemote::objects(const LibraryId& library,
                                             std::span<const ObjectId> ids) {
  std::vector<ObjectId> unique(ids.begin(), ids.end());
  std::ranges::sort(unique);
  unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
  const std::span<const ObjectId> all(unique);
  std::vector<FsObject> found;
  std::mutex mutex;
  run_parallel((all.size() + pack_ids - 1) / pack_ids, lanes, [&](std::size_t i) {
    const auto at = i * pack_ids;
    auto some = some_objects(library, all.subspan(at, std::min(pack_ids, all.size() - at)));
    const std::lock_guard lock(mutex);
    std::ranges::move(some, std::back_inserter(found));
  });
  return found;
}

std::vector<FsObject> SeafileRemote::some_objects(const LibraryId& library,
                                                  std::span<const ObjectId> ids) {
  std::vector<FsObject> found;
  std::vector<ObjectId> wanted(ids.begin(), ids.end());
  while (!wanted.empty()) {
    const auto body = write_ids(wanted);
    // The answer stops after the object that passes 1 MiB, however large that one is.
    const auto reply =
        link_.sync(library, question(repo_path(library, "pack-fs/"), body, max_object));
    if (!reply.ok()) throw_absent(library, "check-fs", wanted.front(), reply, "object ");
    std::unordered_set<ObjectId> open(wanted.begin(), wanted.end());
    for (const auto& packed : read_pack(reply.body)) {
      if (open.erase(packed.id) == 0) {
        throw Error(Errc::corrupt,
                    "object " + packed.id.hex() + ": the server sends what was not asked for");
      }
      auto json = inflate(packed.stored);
      if (sha1(json) != packed.id) {
        throw Error(Errc::corrupt, "object " + packed.id.hex() +
                                       ": its content does not match its id; the server or "
                                       "something on the way changed it");
      }
      found.push_back(
          {packed.id, std::move(json), Bytes(packed.stored.begin(), packed.stored.end())});
    }
    if (open.size() == wanted.size()) {
      throw Error(Errc::corrupt,
                  "object " + wanted.front().hex() + ": the server answers with nothing");
    }
    std::erase_if(wanted, [&](const ObjectId& id) { return !open.contains(id); });
  }
  return found;
}

// A server says 500 for what it does not have, and for its troubles: ask which it is.
void SeafileRemote::throw_absent(const LibraryId& library, const char* call, const ObjectId& id,
                                 const HttpReply& reply, const std::string& what) {
  if (reply.status == 500 && !missing(library, call, {&id, 1}).empty()) {
    throw Error(Errc::not_found, what + id.hex() + " of " + name_of(library) +
                                     ": the server has lost it; tell its administrator");
  }
  require_ok(reply, what + id.hex());
  throw Error(Errc::internal, what + id.hex() + ": no failure");
}

Bytes SeafileRemote::arriving_block(const LibraryId& library, const ObjectId& id,
                                    const BlockArrives& arrives) {
  auto request = get(repo_path(library, "block/" + id.hex()));
  request.max_reply = max_block;
  request.time_limit = block_time;
  request.bulk = true;
  request.arrives = arrives;
  auto reply = link_.sync(library, std::move(request));
  if (!reply.ok()) throw_absent(library, "check-blocks", id, reply, "block ");
  if (!options_.unverified_blocks && sha1(reply.body) != id) {
    throw Error(Errc::corrupt,
                "block " + id.hex() +
                    ": its content does not match its id: it was changed, or it comes from a "
                    "desktop client that is set to name blocks at random; if that is so here, "
                    "and then only, mount with -o unverified-blocks");
  }
  return std::move(reply.body);
}

std::vector<std::uint64_t> SeafileRemote::block_sizes(const LibraryId& library,
                                                      const ObjectId& file) {
  auto request = get(repo_path(library, "block-map/" + file.hex()));
  request.max_reply = large_reply;
  const auto reply = link_.sync(library, std::move(request));
  require_ok(reply, "file " + file.hex());
  return read_block_map(reply.body);
}

std::vector<ObjectId> SeafileRemote::missing(const LibraryId& library, const char* call,
                                             std::span<const ObjectId> ids) {
  std::vector<ObjectId> all;
  std::mutex mutex;
  run_parallel((ids.size() + check_ids - 1) / check_ids, lanes, [&](std::size_t i) {
    const auto at = i * check_ids;
    const auto some = ids.subspan(at, std::min(check_ids, ids.size() - at));
    const auto body = write_ids(some);
    const auto reply = link_.sync(
        library, question(repo_path(library, std::string(call) + "/"), body, large_reply));
    require_ok(reply, name_of(library));
    const std::unordered_set<ObjectId> asked(some.begin(), some.end());
    for (const auto& id : read_ids(reply.body)) {
      if (!asked.contains(id)) {
        throw Error(Errc::corrupt, name_of(library) + ": the server lacks what was not asked for");
      }
      const std::lock_guard lock(mutex);
      all.push_back(id);
    }
  });
  return all;
}

void SeafileRemote::check_upload(const LibraryId& library, std::int64_t added_bytes) {
  const auto permission = link_.sync(
      library,
      get(repo_path(library, "permission-check/?op=upload&client_id=" + options_.client.id.hex() +
                                 "&client_name=" + percent_encode(options_.client.name))));
  if (permission.status == 403) {
    throw Error(Errc::read_only, name_of(library) + ": it is shared with you for reading only");
  }
  require_ok(permission, name_of(library));
  const auto room = link_.sync(
      library, get(repo_path(library, "quota-check/?delta=" + std::to_string(added_bytes))));
  require_ok(room, name_of(library));
}

void SeafileRemote::put_commit(const Commit& commit) {
  const auto body = write_commit(commit);
  const auto reply = link_.sync(
      commit.library,
      upload(HttpMethod::put, repo_path(commit.library, "commit/" + commit.id.hex()), body));
  require_ok(reply, "commit " + commit.id.hex());
}

void SeafileRemote::put_objects(const LibraryId& library, std::span<const FsObject> objects) {
  // Servers do not look at what they are given: nothing wrong may leave here.
  std::vector<Bytes> packs;
  for (const auto& object : objects) {
    if (sha1(object.json) != object.id) {
      throw Error(Errc::internal, "object " + object.id.hex() + ": made with a wrong id");
    }
    if (packs.empty() || packs.back().size() >= pack_bytes) packs.emplace_back();
    append_packed(packs.back(), object.id, deflate(object.json));
  }
  run_parallel(packs.size(), lanes, [&](std::size_t i) {
    auto request = upload(HttpMethod::post, repo_path(library, "recv-fs/"), packs[i]);
    request.time_limit = block_time;
    request.bulk = true;
    require_ok(link_.sync(library, std::move(request)), name_of(library));
  });
}

void SeafileRemote::put_block(const LibraryId& library, const ObjectId& id, ByteView stored) {
  auto request = upload(HttpMethod::put, repo_path(library, "block/" + id.hex()), stored);
  request.time_limit = block_time;
  request.bulk = true;
  require_ok(link_.sync(library, std::move(request)), "block " + id.hex());
}

// Publishing twice would make a merge commit: whenever it is not known what became
// of the request, the head is read first.
ObjectId SeafileRemote::publish(const LibraryId& library, const ObjectId& commit) {
  const auto what = "publishing commit " + commit.hex();
  for (int tries = 1;; ++tries) {
    std::optional<HttpReply> reply;
    try {
      HttpRequest request;
      request.method = HttpMethod::put;
      request.path = repo_path(library, "commit/HEAD/?head=" + commit.hex());
      reply = link_.sync(library, std::move(request));
    } catch (const Error& e) {
      if (e.code() != Errc::unreachable && e.code() != Errc::corrupt) throw;
    }
    if (reply && reply->ok()) return head(library);
    if (reply && reply->status == 409) {
      // The server may have swept up what was sent: all of it has to be asked for again.
      throw Error(Errc::busy, what + ": the server collected garbage meanwhile; sent again later");
    }
    if (reply && reply->status == 446) {
      std::string names;
      if (!reply->body.empty()) {
        for (const auto& name : read_names(reply->body))
          names += (names.empty() ? "" : ", ") + name;
      }
      throw Error(Errc::busy, what + ": the server lacks parts of " +
                                  (names.empty() ? "the tree" : names) + "; sent again later");
    }
    const bool unknown = !reply || reply->status >= 500;
    if (!unknown) require_ok(*reply, what);
    const auto now = head(library);
    if (contains(library, now, commit)) return now;
    if (tries == publish_tries) {
      if (reply) require_ok(*reply, what);
      throw Error(Errc::unreachable, what + ": no answer; check the network");
    }
  }
}

bool SeafileRemote::contains(const LibraryId& library, const ObjectId& head,
                             const ObjectId& commit) {
  std::deque<ObjectId> next = {head};
  std::unordered_set<ObjectId> seen;
  while (!next.empty() && seen.size() < publish_search) {
    const auto id = next.front();
    next.pop_front();
    if (id == commit) return true;
    if (!seen.insert(id).second) continue;
    const auto found = this->commit(library, id);
    if (found.second_parent) next.push_back(*found.second_parent);
    if (found.parent) next.push_back(*found.parent);
  }
  return false;
}

Quota SeafileRemote::quota() {
  const auto reply = link_.api(get("/api2/account/info/"));
  require_ok(reply, "account");
  return read_account(reply.body).quota;
}

}  // namespace

std::unique_ptr<Remote> open_seafile_remote(const SeafileOptions& options, Secret token) {
  return std::make_unique<SeafileRemote>(options, std::move(token));
}

}  // namespace nacre
