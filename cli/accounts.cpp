// SPDX-License-Identifier: Apache-2.0
#include "cli/accounts.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <system_error>

#include "base/error.hpp"
#include "cli/folders.hpp"
#include "cli/keyring.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;

constexpr std::string_view token_suffix = ".token";

stdfs::path folder() { return config_folder() / "accounts"; }
stdfs::path file_of(const std::string& alias) { return folder() / alias; }

std::string trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1));
}

[[noreturn]] void damaged(const std::string& alias, const std::string& why) {
  throw Error(Errc::corrupt,
              file_of(alias).string() + ": " + why + "; log in again with `nacre login`");
}

Account read_account(const std::string& alias, const std::string& text) {
  Account account;
  account.alias = alias;
  bool has_client = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (trimmed(line).empty() || trimmed(line)[0] == '#') continue;
    const auto equals = line.find('=');
    if (equals == std::string::npos) damaged(alias, "a line without `=`");
    const auto key = trimmed(line.substr(0, equals)), value = trimmed(line.substr(equals + 1));
    if (key == "url") {
      account.server.url = value;
    } else if (key == "user") {
      account.user = value;
    } else if (key == "client") {
      const auto id = ObjectId::parse(value);
      if (!id) damaged(alias, "client is not 40 hex digits");
      account.client = *id;
      has_client = true;
    } else if (key == "ca_file") {
      account.server.ca_file = value;
    } else if (key == "token_in") {
      account.token_in_keyring = value == "keyring";
    } else if (key == "insecure_http") {
      account.server.insecure_http = value == "yes";
    } else {
      damaged(alias, "unknown key " + key);
    }
  }
  if (account.server.url.empty() || account.user.empty() || !has_client)
    damaged(alias, "url, user or client is missing");
  return account;
}

keyring::Item token_item(const std::string& alias) {
  return {.what = "token", .account = alias, .of = "", .name = ""};
}

}  // namespace

std::vector<Account> accounts() {
  std::vector<Account> found;
  std::error_code none;  // no folder: no accounts
  for (const auto& entry : stdfs::directory_iterator(folder(), none)) {
    const auto alias = entry.path().filename().string();
    if (alias.ends_with(token_suffix) || alias.find(".token.") != std::string::npos) continue;
    if (auto account = find_account(alias)) found.push_back(std::move(*account));
  }
  std::ranges::sort(found, {}, &Account::alias);
  return found;
}

std::optional<Account> find_account(const std::string& alias) {
  const auto text = read_text_file(file_of(alias));
  if (!text) return std::nullopt;
  return read_account(alias, *text);
}

Account choose_account(const std::string& name) {
  const auto all = accounts();
  if (name.empty()) {
    if (all.size() == 1) return all.front();
    if (all.empty())
      throw Error(Errc::not_found, "account: there is none yet; log in with `nacre login`");
    throw Error(Errc::not_found,
                "account: there are several; name one, such as " + all.front().alias);
  }
  if (const auto at = std::ranges::find(all, name, &Account::alias); at != all.end()) return *at;
  std::vector<Account> there;
  if (name.find("://") != std::string::npos) {
    const auto url = normal_url(name);
    std::ranges::copy_if(all, std::back_inserter(there),
                         [&](const Account& account) { return account.server.url == url; });
  }
  if (there.size() == 1) return there.front();
  if (there.size() > 1)
    throw Error(Errc::not_found,
                name + ": several accounts there; name one, such as " + there.front().alias);
  throw Error(Errc::not_found, name + ": no such account; log in with `nacre login`");
}

stdfs::path token_file(const std::string& alias) { return folder() / (alias + ".token"); }

Account save_account(Account account, const Secret& token) {
  check_alias(account.alias);
  account.token_in_keyring =
      keyring::store(token_item(account.alias), "nacre: token of account " + account.alias, token);
  std::ostringstream text;
  text << "# An account of nacre(1).  Its token is in the "
       << (account.token_in_keyring ? "session's keyring" : "file beside this one")
       << ".\nurl = " << account.server.url << "\nuser = " << account.user
       << "\nclient = " << account.client.hex() << '\n';
  if (account.server.ca_file) text << "ca_file = " << account.server.ca_file->string() << '\n';
  if (account.server.insecure_http) text << "insecure_http = yes\n";
  if (account.token_in_keyring) text << "token_in = keyring\n";
  if (!account.token_in_keyring) write_private_file(token_file(account.alias), token.bytes());
  write_private_file(file_of(account.alias), as_bytes(text.str()));
  std::error_code none;
  if (account.token_in_keyring) stdfs::remove(token_file(account.alias), none);
  return account;
}

Secret load_token(const Account& account) {
  const auto stored = read_secret_file(token_file(account.alias));
  auto bytes = stored ? stored->bytes() : ByteView();
  while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r'))  // an editor's
    bytes = bytes.first(bytes.size() - 1);
  if (!bytes.empty()) return Secret::copy_of(bytes);
  if (account.token_in_keyring) {
    if (auto kept = keyring::find(token_item(account.alias))) return *std::move(kept);
    if (const auto why = keyring::why_not(); !why.empty())
      throw Error(Errc::denied, account.alias +
                                    ": its token is in the keyring, which cannot be "
                                    "asked (" +
                                    why +
                                    "); unlock it, or log in again "
                                    "from here");
  }
  throw Error(Errc::denied, account.alias + ": not logged in; log in with `nacre login " +
                                account.server.url + " --user " + account.user + "`");
}

bool logged_in(const Account& account) try {
  load_token(account);
  return true;
} catch (const Error& error) {
  if (error.code() != Errc::denied) throw;
  return false;
}

void forget_account(const Account& account) {
  std::error_code gone_already;
  stdfs::remove(token_file(account.alias), gone_already);
  stdfs::remove(file_of(account.alias), gone_already);
  forget_in_keyring(account.alias);
}

bool forget_in_keyring(const std::string& alias) {
  return keyring::erase({.what = "", .account = alias, .of = "", .name = ""});
}

std::string normal_url(std::string_view given) {
  std::string url(given);
  if (url.find("://") == std::string::npos) url = "https://" + url;
  while (url.ends_with('/')) url.pop_back();
  const bool known = url.starts_with("https://") || url.starts_with("http://");
  if (!known || url_host(url).empty() || url.find_first_of(" \t\r\n@?#") != std::string::npos)
    throw Error(Errc::invalid, std::string(given) +
                                   ": not a server's address; give one like "
                                   "https://sync.example.com");
  return url;
}

std::string url_host(std::string_view url) {
  auto rest = url.substr(std::min(url.size(), url.find("://") + 3));
  rest = rest.substr(0, rest.find('/'));
  if (rest.starts_with('[')) return std::string(rest.substr(1, rest.find(']') - 1));  // IPv6
  return std::string(rest.substr(0, rest.find(':')));
}

std::string new_alias(const std::string& url, const std::string& user) {
  const auto free_or_same = [&](const std::string& alias) {
    const auto there = find_account(alias);
    return !there || (there->server.url == url && there->user == user);
  };
  const auto tidy = [](std::string name) {
    for (auto& c : name)
      if (c == ':' || c == '/' || static_cast<unsigned char>(c) <= ' ') c = '-';
    return name;
  };
  const auto host = tidy(url_host(url));
  const auto with_user = tidy(host + "-" + user);
  for (const auto& alias : {host, with_user})
    if (free_or_same(alias)) return alias;
  for (int n = 2;; ++n)
    if (auto alias = with_user + "-" + std::to_string(n); free_or_same(alias)) return alias;
}

void check_alias(const std::string& alias) {
  const bool shape = !alias.empty() && alias.size() <= 200 && alias[0] != '.' && alias[0] != '-' &&
                     alias.find_first_of("/:= \t\r\n") == std::string::npos &&
                     alias.find(".token") == std::string::npos;
  if (!shape)
    throw Error(Errc::invalid,
                alias + ": cannot be an account's name; use letters, digits, dots and dashes");
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "linux";
  return name.data();
}

ClientIdentity identity_of(const Account& account) {
  return {.id = account.client, .name = host_name()};
}

std::unique_ptr<Remote> open_account(const Account& account, bool unverified_blocks) {
  SeafileOptions options;
  options.server = account.server;
  options.client = identity_of(account);
  options.user = account.user;
  options.unverified_blocks = unverified_blocks;
  options.client_version = "nacre " NACRE_VERSION;
  return open_seafile_remote(options, load_token(account));
}

KnownKeys known_keys_of(const Account& account, const std::string& state_dir) {
  const auto folder =
      state_dir.empty() ? state_folder() / account.alias : stdfs::absolute(state_dir);
  make_private_folder(folder);
  return {folder, device_key(folder)};
}

LibraryInfo choose_library(Remote& remote, const std::string& name) {
  std::optional<LibraryInfo> found;
  for (auto& library : remote.libraries()) {
    if (library.id.text() == name) return library;
    if (library.name != name) continue;
    if (found)
      throw Error(Errc::invalid, name + ": several libraries have this name; give the id instead");
    found = std::move(library);
  }
  if (!found)
    throw Error(Errc::not_found, name + ": no such library; `nacre libraries` lists them");
  return *std::move(found);
}

}  // namespace nacre
