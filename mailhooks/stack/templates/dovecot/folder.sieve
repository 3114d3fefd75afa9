# Runs after the user's own script, when that one keeps the mail: user+folder goes to the folder.
# folder.py answers with the folder that exists (without regard to case), or with nothing: then INBOX.
require ["envelope", "fileinto", "mailbox", "subaddress", "variables", "vnd.dovecot.execute"];

if envelope :matches :detail "to" "?*" {
  if execute :output "folder" "python" ["-I", "@{dovecot_config}/folder.py", "${0}", "@{missing_folder}"] {
    if string :matches "${folder}" "?*" {
      fileinto :create "${folder}";
    }
  }
}
