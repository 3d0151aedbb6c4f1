// SPDX-License-Identifier: Apache-2.0
//
// The sync protocol (seafile-protocol, section 5), below /seafhttp.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/error.hpp"
#include "base/json.hpp"
#include "crypto/hash.hpp"
#include "remote/json.hpp"
#include "remote/publish.hpp"
#include "remote/wire.hpp"
#include "server/call.hpp"
#include "server/check_tree.hpp"

namespace nacre {
namespace {

constexpr std::size_t pack_limit = std::size_t{1} << 20U;
constexpr std::size_t piece = std::size_t{256} << 10U;

ObjectId id_in(std::string_view text) {
  const auto id = ObjectId::parse(text);
  if (!id) throw Refusal{400};
  return *id;
}

std::vector<ObjectId> ids_in(const Call& call) {
  if (call.body_text.empty()) throw Refusal{400};
  return read_ids(call.body());
}

std::string head_text(const ObjectId& head) {
  JsonWriter json;
  json.object().key("is_corrupted").value(0).key("head_commit_id").value(head.hex()).end();
  return std::move(json).take();
}

// Who asks for this library; 400 without a token, 403 with a wrong one.
std::string user_of(const ServerState& state, const Call& call, const LibraryId& library) {
  auto token = call.request.get_header_value("Seafile-Repo-Token");
  if (token.empty()) token = call.token();
  if (token.empty()) throw Refusal{400, "token is null\n"};
  const auto user = state.accounts.user_of(token, library);
  if (!user) throw Refusal{403};
  return *user;
}

void heads(const ServerState& state, Call& call) {
  const JsonDocument document(call.body(), "list of libraries");
  const auto items = document.root().items();
  if (items.empty()) throw Refusal{400};
  JsonWriter json;
  json.object();
  for (const auto& item : items) {
    const auto text = item.as_string();
    const auto library = text ? LibraryId::parse(*text) : std::nullopt;
    if (!library) throw Refusal{400};
    if (state.accounts.owner_of(*library).empty()) continue;
    json.key(library->text()).value(state.store.head(*library).hex());
  }
  json.end();
  call.json(std::move(json).take());
}

void check_permission(Call& call) {
  const auto op = call.field("op");
  const auto client = call.field("client_id");
  if ((op != "download" && op != "upload") || (!client.empty() && client.size() != 40))
    throw Refusal{400};
}

void get_commit(const ServerState& state, Call& call, const LibraryId& library,
                const ObjectId& id) {
  call.bytes(write_commit(state.store.commit(library, id)));
}

void put_commit(ServerState& state, Call& call, const LibraryId& library, const ObjectId& id) {
  if (call.body_text.empty()) throw Refusal{400};
  auto commit = read_commit(id, call.body());
  if (commit.library != library || commit.id != id) throw Refusal{400};
  state.store.put_commit(commit);
}

// What a commit must carry over from the one it builds on, or it would rename,
// un-encrypt or downgrade the library.
bool carries_over(const Commit& commit, const Commit& parent) {
  return commit.version == parent.version && commit.library_name == parent.library_name &&
         commit.encryption.version == parent.encryption.version &&
         commit.encryption.salt == parent.encryption.salt;
}

void publish(ServerState& state, Call& call, const LibraryId& library, const std::string& user) {
  const auto id = id_in(call.field("head"));
  if (!state.store.has_commit(library, id)) throw Refusal{500};
  const auto commit = state.store.commit(library, id);
  if (!commit.parent || !state.store.has_commit(library, *commit.parent)) throw Refusal{400};
  const auto parent = state.store.commit(library, *commit.parent);
  if (!carries_over(commit, parent))
    throw Refusal{400,
                  "commit: the library's name, version or encryption differ from its parent\n"};
  const auto faults = check_tree(state.store, library, parent.root, commit.root);
  if (faults.unreadable) throw Refusal{446};
  if (!faults.missing.empty()) {
    JsonWriter json;
    json.array();
    for (const auto& name : faults.missing) json.value(name);
    json.end();
    throw Refusal{446, std::move(json).take()};
  }
  publish_commit(state.store, library, id, user);
}

void list_objects(const ServerState& state, Call& call, const LibraryId& library) {
  const auto server_head = ObjectId::parse(call.field("server-head"));
  if (!server_head) throw Refusal{400, "Invalid server-head parameter.\n"};
  ObjectId before;
  if (const auto client = call.field("client-head"); !client.empty()) {
    const auto client_head = ObjectId::parse(client);
    if (!client_head) throw Refusal{400, "Invalid client-head parameter.\n"};
    if (!state.store.has_commit(library, *client_head)) throw Refusal{500};
    before = state.store.commit(library, *client_head).root;
  }
  if (!state.store.has_commit(library, *server_head)) throw Refusal{500};
  const auto after = state.store.commit(library, *server_head).root;
  const bool directories = call.request.has_param("dir-only");
  call.json(write_ids(changed_objects(state.store, library, before, after, directories)));
}

void pack_objects(const ServerState& state, Call& call, const LibraryId& library) {
  Bytes pack;
  for (const auto& id : ids_in(call)) {
    if (id.is_empty() || !state.store.has_object(library, id)) throw Refusal{500};
    append_packed(pack, id, state.store.stored_object(library, id));
    if (pack.size() >= pack_limit) break;  // the client asks again for the rest
  }
  call.bytes(pack);
}

void take_objects(ServerState& state, Call& call, const LibraryId& library) {
  for (const auto& [id, stored] : read_pack(call.body())) {
    const auto json = inflate(stored);
    if (sha1(json) != id) throw Refusal{400, id.hex() + ": not the hash of these bytes\n"};
    const JsonDocument document(ByteView(json), "fs object");
    if (document.root().int64_at("type") == 3)
      read_directory(id, json);
    else
      read_file(id, json);
    state.store.put_object(library, id, json);
  }
}

template <class Has>
void answer_missing(Call& call, Has has) {
  std::vector<ObjectId> missing;
  for (const auto& id : ids_in(call)) {
    if (!has(id)) missing.push_back(id);
  }
  call.json(write_ids(missing));
}

// Straight from its file, a piece at a time.
void get_block(const ServerState& state, Call& call, const LibraryId& library, const ObjectId& id) {
  const auto path = state.store.block_path(library, id);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw Refusal{500};
  const std::shared_ptr<const int> file(new int(fd), [](const int* held) {
    ::close(*held);
    delete held;
  });
  const auto size = state.store.block_size(library, id);
  if (size == 0) throw Refusal{500};
  call.response.set_content_provider(
      size, "application/octet-stream",
      [file, buffer = Bytes(std::min<std::size_t>(piece, size))](
          std::size_t offset, std::size_t length, httplib::DataSink& sink) mutable {
        const auto got = ::pread(*file, buffer.data(), std::min(buffer.size(), length),
                                 static_cast<off_t>(offset));
        if (got <= 0) return false;
        return sink.write(reinterpret_cast<const char*>(buffer.data()),
                          static_cast<std::size_t>(got));
      });
}

void put_block(ServerState& state, Call& call, const LibraryId& library, const ObjectId& id) {
  if (call.body_text.empty()) throw Refusal{400};
  if (sha1(call.body()) != id) throw Refusal{400, id.hex() + ": not the hash of these bytes\n"};
  state.store.put_block(library, id, call.body());
}

void block_map(const ServerState& state, Call& call, const LibraryId& library, const ObjectId& id) {
  JsonWriter json;
  json.array();
  if (!id.is_empty()) {
    for (const auto& block : read_file(id, state.store.object(library, id)).blocks)
      json.value(state.store.block_size(library, block));
  }
  json.end();
  call.json(std::move(json).take());
}

bool answer_library(ServerState& state, Call& call, const LibraryId& library) {
  const auto what = call.word(3), which = call.word(4);
  const bool get = call.is("GET"), put = call.is("PUT"), post = call.is("POST");
  if (what == "jwt-token") return false;  // no notifications: clients poll
  const auto user = user_of(state, call, library);
  if (what == "permission-check" && get) {
    check_permission(call);
  } else if (what == "quota-check" && get) {
    if (call.field("delta").empty()) throw Refusal{400};
  } else if (what == "commit" && which == "HEAD" && get) {
    call.json(head_text(state.store.head(library)));
  } else if (what == "commit" && which == "HEAD" && put) {
    publish(state, call, library, user);
  } else if (what == "commit" && get) {
    get_commit(state, call, library, id_in(which));
  } else if (what == "commit" && put) {
    put_commit(state, call, library, id_in(which));
  } else if (what == "fs-id-list" && get) {
    list_objects(state, call, library);
  } else if (what == "pack-fs" && post) {
    pack_objects(state, call, library);
  } else if (what == "fs" && get) {
    call.bytes(state.store.stored_object(library, id_in(which)));
  } else if (what == "recv-fs" && post) {
    take_objects(state, call, library);
  } else if (what == "check-fs" && post) {
    answer_missing(call, [&](const ObjectId& id) {
      return id.is_empty() || state.store.has_object(library, id);
    });
  } else if (what == "check-blocks" && post) {
    answer_missing(call, [&](const ObjectId& id) { return state.store.has_block(library, id); });
  } else if (what == "block" && get) {
    get_block(state, call, library, id_in(which));
  } else if (what == "block" && put) {
    put_block(state, call, library, id_in(which));
  } else if (what == "block-map" && get) {
    block_map(state, call, library, id_in(which));
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool answer_sync(ServerState& state, Call& call) {
  if (call.word(0) != "seafhttp") return false;
  if (call.word(1) == "protocol-version") {
    call.json(R"({"version": 2})");
    return true;
  }
  if (call.word(1) != "repo") return false;
  if (call.word(2) == "head-commits-multi" && call.is("POST")) {
    heads(state, call);
    return true;
  }
  const auto library = LibraryId::parse(call.word(2));
  if (!library) return false;
  if (state.accounts.owner_of(*library).empty()) throw Refusal{444};
  return answer_library(state, call, *library);
}

}  // namespace nacre
