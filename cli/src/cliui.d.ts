/** cliui has no types of its own. These cover what we use. */
declare module 'cliui' {
  type Column = {
    text: string;
    width?: number;
    align?: 'left' | 'right' | 'center';
    /** Top, right, bottom, left. */
    padding?: [number, number, number, number];
  };

  export default function ui(options: { width: number }): {
    div: (...columns: Column[]) => void;
    toString: () => string;
  };
}
