// Parses Oracle's statements by a grammar of PL/SQL. Run by `cargo xtask oracle-sql`.
import { readFileSync } from "node:fs";
import antlr4 from "antlr4";
import { getParserFromInput } from "@griffithswaite/ts-plsql-parser";

// What the grammar does not know and Oracle's reference has, as something that it knows.
const NOT_KNOWN = [[/JSON_SERIALIZE\(([^()]*) RETURNING CLOB\)/g, "TO_CLOB($1)"]];

// A parser that takes everything would find nothing.
const BROKEN = ["SELECT id FORM dual", "BEGIN v := 1 END", "ALTER TABLE t INMEMORY PRIORTY HIGH"];

function faults(text) {
    for (const [form, known] of NOT_KNOWN) text = text.replace(form, known);
    const found = [];
    const listener = new antlr4.error.ErrorListener();
    listener.syntaxError = (_, __, line, column, message) =>
        found.push(`${line}:${column} ${message.replace(/\s+/g, " ").slice(0, 160)}`);
    const parser = getParserFromInput(`${text.trim().replace(/;$/, "")};`);
    parser.removeErrorListeners();
    parser.addErrorListener(listener);
    parser.sql_script();
    return found;
}

// A script's blocks, and the statements in literals inside them.
function statements(script) {
    const blocks = script.split(/\n\/\s*$/m).filter((block) => block.trim());
    const inner = [...script.matchAll(/q'\[([\s\S]*?)\]'|make\('([^']*)'\)/g)];
    return [...blocks, ...inner.map((match) => match[1] ?? match[2])];
}

let failed = 0;
let parsed = 0;
for (const text of BROKEN) {
    if (faults(text).length === 0) {
        failed += 1;
        console.log(`the parser takes what is broken: ${text}`);
    }
}
for (const path of process.argv.slice(2)) {
    for (const statement of statements(readFileSync(path, "utf8"))) {
        parsed += 1;
        for (const fault of faults(statement)) {
            failed += 1;
            console.log(`${path}: ${fault}: in ${statement.trim().split("\n")[0]}`);
        }
    }
}
console.log(`${parsed} statements parsed, faults: ${failed}`);
process.exit(failed === 0 ? 0 : 1);
