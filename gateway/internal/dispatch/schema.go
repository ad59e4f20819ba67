package dispatch

// What a model is told about each tool. The schemas describe the argument types in package run; a
// test keeps the two in step.

const describeShell = `Runs one bash command in a fresh container that has no network and is thrown away afterwards; only the shared folders persist. ` +
	`With access "read" (the default) every shared folder is read-only; with "write" the one that holds the working directory is writable, which usually needs the user's approval. ` +
	`bash, coreutils, grep, sed, awk, find, rg, jq, git and python3 are there. With "read", files that look like secrets are hidden (Permission denied); read_file asks the user for them. Returns exit code, stdout and stderr.`

const schemaShell = `{"type":"object","additionalProperties":false,"required":["command"],"properties":{` +
	`"command":{"type":"string","description":"the bash command"},` +
	`"working_directory":{"type":"string","description":"absolute path in a shared folder, or relative to the first one; default: the first shared folder"},` +
	`"timeout_seconds":{"type":"integer","minimum":1,"description":"default 30"},` +
	`"access":{"type":"string","enum":["read","write"],"description":"write only when the command must change files"}}}`

const describeReadFile = `Reads a text file from a shared folder, whole or by lines. Links are not followed: the answer names their target.`

const schemaReadFile = `{"type":"object","additionalProperties":false,"required":["path"],"properties":{` +
	`"path":{"type":"string","description":"absolute path in a shared folder, or relative to the first one"},` +
	`"offset":{"type":"integer","minimum":1,"description":"first line, from 1"},` +
	`"limit":{"type":"integer","minimum":1,"description":"number of lines"}}}`

const describeWriteFile = `Writes a text file in a shared folder, atomically, and returns the difference to what was there.`

const schemaWriteFile = `{"type":"object","additionalProperties":false,"required":["path","content"],"properties":{` +
	`"path":{"type":"string","description":"absolute path in a shared folder, or relative to the first one"},` +
	`"content":{"type":"string"},` +
	`"mode":{"type":"string","enum":["create","overwrite","append"],"description":"create (the default) fails when the file exists"}}}`

const describeListDirectory = `Lists a directory in a shared folder: names, types, sizes, times.`

const schemaListDirectory = `{"type":"object","additionalProperties":false,"required":["path"],"properties":{` +
	`"path":{"type":"string","description":"absolute path in a shared folder, or relative to the first one (\".\" is that folder itself)"},` +
	`"limit":{"type":"integer","minimum":1,"description":"most entries, default 1000"}}}`

const describeSearchFiles = `Searches the text files below a directory of a shared folder with ripgrep and returns matching lines. Files that look like secrets are left out; read_file asks the user for them.`

const schemaSearchFiles = `{"type":"object","additionalProperties":false,"required":["pattern"],"properties":{` +
	`"pattern":{"type":"string","description":"regular expression (ripgrep's default engine), or plain text when literal is true"},` +
	`"path":{"type":"string","description":"directory or file; default: the first shared folder"},` +
	`"glob":{"type":"string","description":"only files whose name matches, such as *.go"},` +
	`"literal":{"type":"boolean"},` +
	`"case_sensitive":{"type":"boolean"},` +
	`"limit":{"type":"integer","minimum":1,"description":"most matches, default 200"}}}`

const describeStat = `Tells type, size, time, mode and number of links of one path in a shared folder.`

const schemaStat = `{"type":"object","additionalProperties":false,"required":["path"],"properties":{` +
	`"path":{"type":"string","description":"absolute path in a shared folder, or relative to the first one"}}}`

const describeSendFile = `Sends the user a file from a shared folder, as it is (at most 10 MiB), into the conversation that you are in. Works in a messenger only; in a terminal, name the path instead.`

const schemaSendFile = `{"type":"object","additionalProperties":false,"required":["path"],"properties":{` +
	`"path":{"type":"string","description":"absolute path in a shared folder, or relative to the first one"},` +
	`"caption":{"type":"string","description":"a line or two that stand below the file"}}}`
