/** cliui comes without types; these are of what is used. */
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
