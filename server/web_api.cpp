// SPDX-License-Identifier: Apache-2.0
//
// The web API as far as sync clients call it (seafile-protocol, section 4).
#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "crypto/random.hpp"
#include "server/call.hpp"

namespace nacre {
namespace {

constexpr int newest_encryption = 4;
constexpr int encryption_for_passwords = 2;  // what all clients can open

std::string signed_in(const ServerState& state, const Call& call) {
  const auto user = state.accounts.user_of(call.token(), std::nullopt);
  if (!user) throw Refusal{401, R"({"detail": "Invalid token"})"};
  return *user;
}

LibraryId library_in(const ServerState& state, const std::string& user, std::string_view text) {
  const auto library = LibraryId::parse(text);
  if (!library || state.accounts.owner_of(*library) != user)
    throw Refusal{404, R"({"error_msg": "Library not found."})"};
  return *library;
}

Commit head_of(const ServerState& state, const LibraryId& library) {
  return state.store.commit(library, state.store.head(library));
}

std::string check_user(const ServerState& state, const Call& call) {
  auto user = call.field("username");
  auto text = call.field("password");
  const auto password = Secret::copy_of(as_bytes(text));
  wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!state.accounts.check_password(user, password))
    throw Refusal{400, R"({"non_field_errors": ["Unable to login with provided credentials."]})"};
  return user;
}

void sign_in(ServerState& state, Call& call) {
  const auto user = check_user(state, call);
  JsonWriter json;
  json.object().key("token").value(state.accounts.give_token(user, std::nullopt)).end();
  call.json(std::move(json).take());
}

// What the client asks for, and asks about until somebody has logged in.
void browser_login(ServerState& state, Call& call) {
  if (call.is("POST")) {
    const auto host = call.request.get_header_value("Host");
    JsonWriter json;
    json.object().key("link").value(std::string(state.secure ? "https://" : "http://") + host +
                                    "/client-sso/" + state.browser_logins.begin() + "/");
    call.json(std::move(json.end()).take());
    return;
  }
  const auto login = state.browser_logins.look(std::string(call.word(2)));
  if (!login) throw Refusal{404, R"({"detail": "Not found."})"};
  JsonWriter json;
  json.object().key("status").value(login->user.empty() ? "waiting" : "success");
  if (!login->user.empty())
    json.key("username").value(login->user).key("apiToken").value(login->token);
  call.json(std::move(json.end()).take());
}

// The page behind the link.
void browser_page(ServerState& state, Call& call) {
  const std::string number(call.word(1));
  if (!state.browser_logins.waits(number))
    throw Refusal{404, "This link is not valid any more; begin again.\n"};
  const auto page = [&](const std::string& text) {
    call.response.set_content("<!doctype html><title>nacre</title><p>" + text, "text/html");
  };
  if (!call.is("POST")) {
    page(
        "Log in for a program on this machine:<form method=post>User <input name=username> "
        "Password <input name=password type=password> <button>Log in</button></form>");
    return;
  }
  const auto user = check_user(state, call);
  state.browser_logins.finish(number, {user, state.accounts.give_token(user, std::nullopt)});
  page("You are logged in; this page can be closed.");
}

void server_info(Call& call) {
  JsonWriter json;
  json.object().key("version").value("11.0.0");
  json.key("encrypted_library_version").value(newest_encryption);
  json.key("features").array().value("seafile-basic").end().end();
  call.json(std::move(json).take());
}

void account_info(const ServerState& state, Call& call) {
  const auto user = signed_in(state, call);
  const auto space = std::filesystem::space(state.store.root());
  JsonWriter json;
  json.object().key("email").value(user).key("name").value(user);
  json.key("usage").value(space.capacity - space.available);
  json.key("total").value(space.capacity).end();
  call.json(std::move(json).take());
}

// One library that is damaged does not hide the others.
std::optional<Commit> readable_head(const ServerState& state, const LibraryId& library) {
  try {
    return head_of(state, library);
  } catch (const Error& error) {
    log::warning("library " + library.str() + ": " + error.what());
    return std::nullopt;
  }
}

void list_libraries(const ServerState& state, Call& call) {
  const auto user = signed_in(state, call);
  JsonWriter json;
  json.array();
  for (const auto& library : state.accounts.libraries_of(user)) {
    const auto head = readable_head(state, library);
    if (!head) continue;
    json.object().key("type").value("repo").key("id").value(library.text());
    json.key("name").value(head->library_name).key("owner").value(user);
    json.key("mtime").value(head->ctime).key("size").value(0).key("root").value("");
    json.key("encrypted").value(head->encryption.encrypted());
    json.key("permission").value("rw").key("virtual").value(false);
    json.key("version").value(head->version).key("salt").value(head->encryption.salt);
    json.key("head_commit_id").value(head->id.hex()).end();
  }
  json.end();
  call.json(std::move(json).take());
}

void download_info(ServerState& state, Call& call, const std::string& user,
                   const LibraryId& library) {
  const auto head = head_of(state, library);
  const auto& how = head.encryption;
  JsonWriter json;
  json.object().key("relay_id").value(ObjectId{}.hex()).key("relay_addr").value("localhost");
  json.key("relay_port").value("10001").key("email").value(user);
  json.key("token").value(state.accounts.give_token(user, library));
  json.key("repo_id").value(library.text()).key("repo_name").value(head.library_name);
  json.key("repo_desc").value(head.library_description).key("repo_size").value(0);
  json.key("mtime").value(head.ctime).key("encrypted");
  if (how.encrypted())
    json.value(1);
  else
    json.value("");
  json.key("enc_version").value(how.version).key("magic").value(how.magic);
  json.key("random_key").value(how.random_key).key("salt").value(how.salt);
  json.key("pwd_hash").value(how.pwd_hash).key("pwd_hash_algo").value(how.pwd_hash_algo);
  json.key("pwd_hash_params").value(how.pwd_hash_params);
  json.key("repo_version").value(head.version).key("head_commit_id").value(head.id.hex());
  json.key("permission").value("rw").end();
  call.json(std::move(json).take());
}

// Key material that a client made, or none.
Encryption encryption_in(const Call& call) {
  Encryption how;
  const auto version = call.field("enc_version");
  if (version.empty()) return how;
  std::from_chars(version.data(), version.data() + version.size(), how.version);
  how.magic = call.field("magic");
  how.random_key = call.field("random_key");
  how.salt = call.field("salt");
  how.pwd_hash = call.field("pwd_hash");
  how.pwd_hash_algo = call.field("pwd_hash_algo");
  how.pwd_hash_params = call.field("pwd_hash_params");
  const bool verifier = from_hex(how.magic) && how.magic.size() == 64;
  const bool hash = from_hex(how.pwd_hash) && how.pwd_hash.size() == 64;
  const bool salted = how.version < 3 || (how.salt.size() == 64 && from_hex(how.salt));
  if (how.version < 2 || how.version > newest_encryption || (!verifier && !hash) || !salted ||
      how.random_key.size() != 96 || !from_hex(how.random_key))
    throw Refusal{400, R"({"error_msg": "You must provide magic, random_key and salt."})"};
  return how;
}

void create_library(ServerState& state, Call& call) {
  const auto user = signed_in(state, call);
  auto library = random_library_id();
  if (const auto wanted = call.field("repo_id"); !wanted.empty()) {
    const auto id = LibraryId::parse(wanted);
    if (!id || !state.accounts.owner_of(*id).empty())
      throw Refusal{400, R"({"error_msg": "repo_id is invalid or in use."})"};
    library = *id;
  }
  Commit first;
  first.library = library;
  first.library_name = call.field("name");
  first.library_description = call.field("desc");
  if (first.library_name.empty() || name_fault(first.library_name) != nullptr)
    throw Refusal{400, R"({"error_msg": "Library name is invalid."})"};
  first.encryption = encryption_in(call);
  if (auto text = call.field("passwd"); !text.empty()) {
    // Seafile's own command line leaves key making to the server.  The password
    // is forgotten when the keys are made; nacre itself never sends one.
    const auto password = Secret::copy_of(as_bytes(text));
    wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    first.encryption = make_library_key(library, encryption_for_passwords, password).encryption;
  }
  first.creator_name = user;
  first.description = "Created library";
  first.ctime = std::time(nullptr);
  first.id = commit_id(first);
  state.store.create(library);
  state.store.put_commit(first);
  state.store.move_head(library, {}, first.id);
  state.accounts.set_owner(library, user);
  download_info(state, call, user, library);
}

void rename_library(ServerState& state, Call& call, const std::string& user,
                    const LibraryId& library) {
  const auto name = call.field("repo_name");
  if (name_fault(name) != nullptr) throw Refusal{400, R"({"error_msg": "Invalid name."})"};
  for (;;) {
    const auto head = head_of(state, library);
    auto next = next_commit(head, head.root, user, {}, "Renamed library\n", std::time(nullptr));
    next.library_name = name;
    next.library_description = call.field("repo_desc");
    state.store.put_commit(next);
    if (state.store.move_head(library, head.id, next.id)) break;
  }
  call.json("\"success\"");
}

void remove_library(ServerState& state, Call& call, const LibraryId& library) {
  state.accounts.remove_library(library);
  state.store.remove(library);
  call.json("\"success\"");
}

void tokens_of_libraries(ServerState& state, Call& call) {
  const auto user = signed_in(state, call);
  const auto list = call.field("repos");
  JsonWriter json;
  json.object();
  for (std::size_t at = 0; at < list.size();) {
    const auto comma = std::min(list.find(',', at), list.size());
    const auto library = LibraryId::parse(std::string_view(list).substr(at, comma - at));
    at = comma + 1;
    if (!library || state.accounts.owner_of(*library) != user) continue;
    json.key(library->text()).value(state.accounts.give_token(user, *library));
  }
  json.end();
  call.json(std::move(json).take());
}

bool answer_libraries(ServerState& state, Call& call) {
  if (call.words.size() == 2) {
    if (call.is("GET"))
      list_libraries(state, call);
    else if (call.is("POST"))
      create_library(state, call);
    else
      return false;
    return true;
  }
  const auto user = signed_in(state, call);
  const auto library = library_in(state, user, call.word(2));
  if (call.words.size() == 4 && call.word(3) == "download-info" && call.is("GET"))
    download_info(state, call, user, library);
  else if (call.words.size() == 3 && call.is("DELETE"))
    remove_library(state, call, library);
  else if (call.words.size() == 3 && call.is("POST") && call.field("op") == "rename")
    rename_library(state, call, user, library);
  else
    return false;
  return true;
}

}  // namespace

bool answer_web_api(ServerState& state, Call& call) {
  if (call.word(0) == "api" && call.word(1) == "v2.1" && call.word(2) == "repos" &&
      call.words.size() == 4 && call.is("DELETE")) {
    remove_library(state, call, library_in(state, signed_in(state, call), call.word(3)));
    return true;
  }
  if (call.word(0) == "client-sso" && call.words.size() == 2) {
    browser_page(state, call);
    return true;
  }
  if (call.word(0) != "api2") return false;
  const auto what = call.word(1);
  if (what == "repos") return answer_libraries(state, call);
  if (what == "ping") {
    call.json("\"pong\"");
  } else if (what == "auth" && call.word(2) == "ping") {
    signed_in(state, call);
    call.json("\"pong\"");
  } else if (what == "auth-token" && call.is("POST")) {
    sign_in(state, call);
  } else if (what == "client-sso-link") {
    browser_login(state, call);
  } else if (what == "server-info") {
    server_info(call);
  } else if (what == "account" && call.word(2) == "info") {
    account_info(state, call);
  } else if (what == "repo-tokens") {
    tokens_of_libraries(state, call);
  } else if (what == "logout-device" && call.is("POST")) {
    signed_in(state, call);
    state.accounts.take_token(call.token());
    call.json("{}");
  } else {
    return false;
  }
  return true;
}

}  // namespace nacre
