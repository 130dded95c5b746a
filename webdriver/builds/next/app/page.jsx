"use client";

import { useEffect, useState } from "react";
import { area } from "../main.mjs";

export default function Page() {
  const [text, setText] = useState("running");
  useEffect(() => {
    area({ baseUrl: "/umedsam/" }).then(String, (error) => `${error.code ?? error.name}: ${error.message}`).then(setText);
  }, []);
  return (
    <>
      <pre id="report">{text}</pre>
      <p id="error" hidden />
    </>
  );
}
